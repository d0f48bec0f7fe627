//! Query plans among a crowd of runs: every statement finds its rows by an index, and what operators ask touches
//! few of them.
//!
//! The crowd is 100,000 runs with their records unless `CHRONO_FORGE_TEST_CROWD_RUNS` says otherwise; CI says
//! 1,000,000. What each statement reads by which index is written down in `plans/golden.txt`; after a deliberate
//! change, `CHRONO_FORGE_GOLDEN=overwrite` writes it anew.

mod crowd;
mod exercise;
mod shape;
mod touched;

use std::collections::BTreeMap;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;

use crate::store::postgres::connection::Purpose;
use crate::store::postgres::statement::recorder::Recorded;
use crate::store::postgres::{
    applications, audits, claim, commit, failures, held, naming, notify, queue, records, recovery,
    results, runs, standstill, start, transfer, wake, worker,
};
use crowd::Crowd;
use shape::{Access, accesses};

/// The release whose words the golden file is in.
const GOLDEN_MAJOR: &str = "15";

/// Tables that grow with the runs.
const GROWING: [&str; 5] = [
    "chrono_forge_workflows",
    "chrono_forge_execution_logs",
    "chrono_forge_context",
    "chrono_forge_error_logs",
    "chrono_forge_blocked",
];

#[test]
fn statements_find_their_rows_among_a_crowd() {
    skip_without_server!();
    let mut crowd = Crowd::new();
    let (writes, reads) = (exercise::writes(&mut crowd), exercise::reads(&crowd));
    nothing_was_left_out(&writes, &reads);
    // Before the exercise's own rows are analyzed: they are too few to matter.
    let writes = plans(&mut crowd, Purpose::Write, &writes);
    let reads = plans(&mut crowd, Purpose::Read, &reads);
    let walks = |(sql, accesses): (&String, &Vec<Access>)| {
        let walks = accesses.iter().filter(|access| is_walk(access));
        walks
            .map(|access| format!("{access}\n{sql}\n"))
            .collect::<String>()
    };
    let walks: String = writes.iter().chain(&reads).map(walks).collect();
    golden(&mut crowd, &[("Writers", writes), ("Readers", reads)]);
    assert!(walks.is_empty(), "a table is walked through:\n{walks}");
    touched::few_rows(&mut crowd);
}

/// Whether this reads a table that grows from one end to the other.
fn is_walk(access: &Access) -> bool {
    let is_bounded = access.condition.is_some() || access.is_limited;
    GROWING.contains(&&*access.table) && !(access.index.is_some() && is_bounded)
}

/// Every statement that a room tells of has been asked, so that its values have their types.
fn nothing_was_left_out(writes: &Recorded, reads: &Recorded) {
    let told = [
        applications::STATEMENTS,
        audits::STATEMENTS,
        &[claim::CLAIM, claim::IS_ALIVE],
        commit::STATEMENTS,
        failures::STATEMENTS,
        held::STATEMENTS,
        notify::STATEMENTS,
        queue::STATEMENTS,
        records::STATEMENTS,
        recovery::STATEMENTS,
        results::STATEMENTS,
        runs::STATEMENTS,
        standstill::STATEMENTS,
        start::STATEMENTS,
        transfer::STATEMENTS,
        &[wake::ROUSE],
        naming::STATEMENTS,
        worker::STATEMENTS,
    ];
    let missing: Vec<&str> = told
        .concat()
        .into_iter()
        .filter(|sql| !writes.contains_key(sql) && !reads.contains_key(sql))
        .collect();
    assert!(missing.is_empty(), "not asked: {}", missing.join("\n"));
}

type Plans = BTreeMap<String, Vec<Access>>;

/// What these statements read, in sessions of this purpose and whatever their values.
fn plans(crowd: &mut Crowd, purpose: Purpose, statements: &Recorded) -> Plans {
    let mut session = crowd.store.source.session(purpose);
    let conn = session.connect().unwrap();
    conn.batch_execute("SET plan_cache_mode TO force_generic_plan")
        .unwrap();
    let mut plans = Plans::new();
    for (nth, (sql, types)) in statements.iter().enumerate() {
        plans.insert(one_line(sql), explain(conn, nth, sql, types));
    }
    plans
}

fn explain(conn: &mut PgConnection, nth: usize, sql: &str, types: &[&str]) -> Vec<Access> {
    let mut pieces = sql.split('?');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut bound: Vec<&str> = Vec::new();
    for (piece, kind) in pieces.zip(types) {
        match *kind {
            "NULL" => text += "NULL",
            kind => {
                bound.push(kind);
                text += &format!("${}", bound.len());
            }
        }
        text += piece;
    }
    let (kinds, values) = match bound.len() {
        0 => (String::new(), String::new()),
        count => (
            format!("({})", bound.join(", ")),
            format!("({})", vec!["NULL"; count].join(", ")),
        ),
    };
    let prepare = format!("PREPARE plan{nth}{kinds} AS {text}");
    conn.batch_execute(&prepare)
        .unwrap_or_else(|error| panic!("{error}\n{prepare}"));
    accesses(conn, &format!("EXECUTE plan{nth}{values}"))
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Compares with the golden file, or writes it.
fn golden(crowd: &mut Crowd, all: &[(&str, Plans)]) {
    let mut text = String::new();
    for (who, plans) in all {
        text += &format!("# {who}\n");
        for (sql, accesses) in plans {
            if accesses.is_empty() {
                continue;
            }
            text += &format!("\n{sql}\n");
            for access in accesses {
                text += &format!("    {access}\n");
            }
        }
        text += "\n";
    }
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres/tests/plans/golden.txt");
    if std::env::var("CHRONO_FORGE_GOLDEN").is_ok_and(|value| value == "overwrite") {
        std::fs::write(path, text).unwrap();
        return;
    }
    if crowd.server_major() != GOLDEN_MAJOR {
        return;
    }
    let golden = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().zip(golden.lines());
    let differs = lines.find(|(is, was)| is != was);
    assert!(
        text == golden,
        "plans/golden.txt tells another plan, first here (is, was):\n{differs:#?}"
    );
}
