//! Query plans and prepared statements: no statement of the hot paths may walk a table that grows,
//! and none may be prepared twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::{Connection, InstrumentationEvent};
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::record::*;
use crate::store::Store;
use crate::store::conformance::backend::sqlite::Scratch;
use crate::store::conformance::fixture::*;
use crate::store::sqlite::library::Version;
use crate::store::sqlite::{
    SqliteStore, applications, audits, claim, commit, failures, held, naming, queue, records,
    recovery, results, runs, standstill, start, transfer, wake, worker,
};

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

fn plan(sql: &str) -> String {
    let store = SqliteStore::open(crate::store::sqlite::SqliteOptions::new(
        crate::store::sqlite::Location::Memory,
    ))
    .unwrap();
    // Parameters stay unbound: the plan does not depend on them.
    let sql = format!("EXPLAIN QUERY PLAN {}", sql.replace(['{', '}'], ""));
    let steps: Vec<Step> = diesel::sql_query(sql)
        .load(&mut *store.writing.lock())
        .unwrap();
    steps.into_iter().map(|step| step.detail + "\n").collect()
}

/// Whether the planner is older than the one that the statements were written for.
fn is_old() -> bool {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    !Version::of(&mut conn).unwrap().counts_logs()
}

/// An old planner does not see that what a limited page answers comes in its order, and sorts the page once more.
fn sorts_more_than_a_page(plan: &str) -> bool {
    let is_of_a_page = is_old() && plan.starts_with("CO-ROUTINE");
    plan.contains("TEMP B-TREE") && !is_of_a_page
}

#[test]
fn no_statement_walks_a_table_that_grows() {
    let growing = [
        "w",
        "f",
        "l",
        "a",
        "s",
        "n",
        "e",
        "chrono_forge_workflows",
        "chrono_forge_execution_logs",
        "chrono_forge_error_logs",
        "chrono_forge_blocked",
    ];
    let statements = [
        commit::STATEMENTS,
        held::STATEMENTS,
        worker::STATEMENTS,
        recovery::STATEMENTS,
        audits::STATEMENTS,
    ]
    .concat();
    let others = [
        claim::DUE,
        claim::TAKE,
        start::FIND,
        start::OTHER_TEXT,
        wake::ROUSE,
        runs::BY_ID,
        runs::CONTEXT,
        naming::IDENTIFY,
        naming::IDENTIFY_ID,
        naming::NAMESAKES,
        naming::CHILD,
        runs::SETTLED_OF,
        runs::AWAITED,
        runs::ANY_BLOCKED,
    ];
    let reads = [queue::NEXT_WAKE, queue::OUTLOOK];
    let reads = reads.iter().chain(records::STATEMENTS);
    let reads = reads
        .chain(results::STATEMENTS)
        .chain(failures::STATEMENTS)
        .chain(transfer::STATEMENTS)
        .chain(standstill::STATEMENTS)
        .chain(applications::STATEMENTS);
    for sql in statements.iter().chain(&others).chain(reads) {
        let plan = plan(sql);
        for step in plan.lines() {
            let table = step
                .strip_prefix("SCAN ")
                .and_then(|rest| rest.split(' ').next());
            assert!(
                table.is_none_or(|table| !growing.contains(&table)),
                "{sql}\n{plan}"
            );
        }
    }
}

#[test]
fn claims_and_wake_look_ups_are_index_ranges() {
    let due = plan(claim::DUE);
    let range = "INDEX chrono_forge_workflows_ready \
                 (queue=? AND priority=? AND workflow=? AND wake_at>? AND wake_at<?)";
    assert!(due.contains(&format!("w USING {range}")), "{due}");
    let front = "f USING INDEX chrono_forge_workflows_ready \
                 (queue=? AND priority=? AND workflow=? AND wake_at<?)";
    assert!(due.contains(front), "{due}");
    let next = plan(queue::NEXT_WAKE);
    for plan in [&due, &next] {
        let look = "f USING COVERING INDEX chrono_forge_workflows_ready (queue=? AND priority=?)";
        assert!(plan.contains(look), "{plan}");
    }
    assert!(
        next.contains("(queue=? AND priority=? AND workflow=?"),
        "{next}"
    );
    for plan in [due, next] {
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn pages_of_results_and_failures_are_ranges_in_the_order_of_their_indexes() {
    let children =
        "w USING INDEX chrono_forge_workflows_parent (parent_execution_log_id=? AND rowid>?";
    let attempts = "e USING INDEX chrono_forge_error_logs_attempt (workflow_id=?";
    let cases: [(&str, &[&str]); 6] = [
        (results::OUTPUTS, &[children]),
        (results::COMPLETED, &[children]),
        (results::OF_RUNS, &["w USING INTEGER PRIMARY KEY (rowid=?)"]),
        (failures::CHILDREN, &[children]),
        (
            failures::OF_CHILDREN,
            &[children, " AND rowid<?)", attempts],
        ),
        (
            failures::OF_STEP,
            &[attempts, " AND <expr>=? AND attempt>?)"],
        ),
    ];
    let later = (
        failures::OF_LATER_STEPS,
        &[attempts, " AND <expr>>?)"] as &[&str],
    );
    for (sql, ranges) in cases.into_iter().chain([later]) {
        let plan = plan(sql);
        for range in ranges {
            assert!(plan.contains(range), "{range}\n{sql}\n{plan}");
        }
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    }
}

#[test]
fn pages_of_blocked_and_pending_rows_are_read_in_the_order_of_their_index() {
    let page = plan(recovery::PAGE);
    let range = "chrono_forge_blocked USING INTEGER PRIMARY KEY (rowid>?)";
    assert!(page.contains(range), "{page}");
    let of_branch = plan(recovery::PAGE_OF_BRANCH);
    let range = "chrono_forge_blocked_children (parent_execution_log_id=? AND rowid>?)";
    assert!(of_branch.contains(range), "{of_branch}");
    let pending = plan(records::PENDING);
    assert!(
        pending.contains("chrono_forge_error_logs_attempt (workflow_id=? AND <expr>=?)"),
        "{pending}"
    );
    let children = plan(records::BLOCKED_CHILDREN);
    for range in [
        "l USING COVERING INDEX sqlite_autoindex_chrono_forge_execution_logs_1 \
         (workflow_id=? AND step_name>? AND step_name<?)",
        "b USING INDEX chrono_forge_blocked_children (parent_execution_log_id=?)",
    ] {
        assert!(children.contains(range), "{children}");
    }
    for plan in [page, of_branch, pending, children] {
        assert!(!sorts_more_than_a_page(&plan), "{plan}");
    }
}

#[test]
fn audits_read_ranges_of_their_indexes() {
    let expected = [
        "chrono_forge_execution_logs USING INDEX chrono_forge_execution_logs_open (id>?)",
        "a USING INDEX chrono_forge_audits_due (next_at<?)",
        "w USING INDEX chrono_forge_workflows_parent \
         (parent_execution_log_id=? AND rowid>? AND rowid<?)",
        "w USING COVERING INDEX chrono_forge_workflows_parent (parent_execution_log_id=?)",
        "chrono_forge_blocked USING COVERING INDEX chrono_forge_blocked_children (parent_execution_log_id=?)",
    ];
    let plans: Vec<String> = audits::STATEMENTS.iter().map(|sql| plan(sql)).collect();
    for range in expected {
        let found = plans.iter().any(|plan| plan.contains(range));
        assert!(found, "{range}\n{}", plans.join("\n"));
    }
    for plan in plans {
        let sorts = plan.contains("FOR ORDER") && sorts_more_than_a_page(&plan);
        assert!(!sorts, "{plan}");
    }
}

#[test]
fn blocked_descendants_are_found_by_ids_alone() {
    let below = plan(records::BELOW);
    let first = "SEARCH b USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
    assert!(below.contains(first), "{below}");
    for step in below.lines().filter(|step| step.starts_with("SEARCH")) {
        let is_range = step.contains("INTEGER PRIMARY KEY");
        // The newest error, of those that are answered.
        let is_newest = step.contains("chrono_forge_error_logs_attempt (workflow_id=?)");
        assert!(is_range || is_newest, "{below}");
    }
}

#[test]
fn a_standstill_is_found_by_ids_and_ranges_alone() {
    let blocked = plan(standstill::BLOCKED_LINKS);
    let first = "SEARCH chrono_forge_blocked USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
    assert!(blocked.contains(first), "{blocked}");
    let due = plan(standstill::DUE_LINKS);
    let first =
        "chrono_forge_workflows_ready (queue=? AND priority=? AND workflow=? AND wake_at<?)";
    assert!(due.contains(first), "{due}");
    let joins = plan(standstill::JOINS);
    let range = "(workflow_id=? AND step_name>? AND step_name<?)";
    assert_eq!(joins.matches(range).count(), 2, "{joins}");
    for plan in [blocked, due, joins] {
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        // Children are never listed by their branch.
        assert!(!plan.contains("chrono_forge_workflows_parent"), "{plan}");
    }
}

#[test]
fn children_that_exist_are_found_by_key_however_many_there_are() {
    let existing = plan(records::EXISTING_CHILDREN);
    let by_key = match is_old() {
        true => "w USING INDEX chrono_forge_workflows_identity (key=?)",
        false => "w EXISTS USING COVERING INDEX chrono_forge_workflows_identity (key=?)",
    };
    for range in [
        by_key,
        "l USING COVERING INDEX sqlite_autoindex_chrono_forge_execution_logs_1 \
         (workflow_id=? AND step_name=?)",
    ] {
        assert!(existing.contains(range), "{range}\n{existing}");
    }
    assert!(
        !existing.contains("chrono_forge_workflows_parent"),
        "{existing}"
    );
    assert!(!existing.contains("TEMP B-TREE"), "{existing}");
}

#[test]
fn what_repeats_have_written_is_no_part_of_a_range_that_is_read() {
    let recovered = recovery::TAIL_STATEMENTS;
    for sql in [records::STATEMENTS[0], records::PENDING]
        .iter()
        .chain(recovered)
    {
        let plan = plan(sql);
        assert!(!plan.contains("(workflow_id=?)"), "{plan}");
        for range in ["step_name<?", "step_name>?"] {
            let range = format!("(workflow_id=? AND {range})");
            assert!(plan.contains(&range), "{plan}");
        }
    }
}

#[test]
fn the_start_up_report_steps_from_range_to_range() {
    for sql in [queue::RANGES, queue::UNSERVED, queue::LATEST] {
        let ranges = plan(sql);
        for columns in [
            "queue=? AND priority=? AND workflow>?",
            "queue=? AND priority>?",
            "queue>?",
        ] {
            let step = format!("INDEX chrono_forge_workflows_ready ({columns})");
            assert!(ranges.contains(&step), "{ranges}");
        }
        assert!(!ranges.contains("TEMP B-TREE FOR LAST"), "{ranges}");
        assert!(!ranges.contains("SCAN n"), "{ranges}");
    }
}

#[test]
fn a_statement_is_prepared_once() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.options()).unwrap();
    let prepared = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&prepared);
    store
        .writing
        .lock()
        .set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if matches!(event, InstrumentationEvent::CacheQuery { .. }) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
    let mut writer = store.writer().unwrap();
    let worker = writer
        .register_worker(&entry("w", "host", 1), at(0))
        .unwrap();
    let mut forge = Forge {
        store: Arc::new(store),
        writer,
        worker,
        database: Box::new(scratch),
    };
    let mut round = |key: &str| {
        let parent = forge.running(key);
        let mut dispatch = dispatch(73, true);
        for child in &mut dispatch.children {
            child.key = child.key.replace("p$", &format!("{key}$"));
        }
        let plan = Plan {
            dispatches: vec![dispatch],
            ..forge.plan(&parent)
        };
        let children = forge
            .writer
            .apply(&[plan], at(1))
            .unwrap()
            .outcomes
            .remove(0)
            .claimed;
        let finish = |child: &ClaimedRun| Plan {
            records: vec![completed(1, "1")],
            end: Some(done("1")),
            ..forge.plan(child)
        };
        let plans: Vec<Plan> = children.iter().map(finish).collect();
        forge.writer.apply(&plans, at(2)).unwrap();
        forge
            .writer
            .heartbeat(forge.worker, &[known(&parent)], at(3))
            .unwrap();
        forge.end(&parent, parked(None));
        forge.claim(at(4));
        prepared.load(Ordering::Relaxed)
    };
    let first = round("a");
    assert!(first > 20, "{first}");
    assert_eq!(round("b"), round("c"));
}

/// An entry of an index is the main cost of a child. Whole are the first, `identity` and, for a
/// child, `parent`; it stays out of `ready` when it is inserted claimed, of `listing` and, unless
/// it has children, of `open`.
#[test]
fn the_rows_of_a_child_enter_as_few_indexes_as_the_guide_says() {
    let store = SqliteStore::open(crate::store::sqlite::SqliteOptions::new(
        crate::store::sqlite::Location::Memory,
    ))
    .unwrap();
    let names = "SELECT name AS detail FROM sqlite_schema WHERE type = 'index' \
                 AND tbl_name IN ('chrono_forge_workflows', 'chrono_forge_execution_logs') ORDER BY name DESC";
    let found: Vec<Step> = diesel::sql_query(names)
        .load(&mut *store.writing.lock())
        .unwrap();
    let found: Vec<&str> = found.iter().map(|step| &*step.detail).collect();
    assert_eq!(
        found,
        [
            "sqlite_autoindex_chrono_forge_execution_logs_1",
            "chrono_forge_workflows_ready",
            "chrono_forge_workflows_parent",
            "chrono_forge_workflows_listing",
            "chrono_forge_workflows_identity",
            "chrono_forge_execution_logs_open",
        ]
    );
}
