//! Everything that a store can be asked and told, once, so that each statement is known with the types of its values.

use jiff::Timestamp;

use super::crowd::{Crowd, PARENT};
use crate::record::*;
use crate::store::conformance::fixture::*;
use crate::store::postgres::audits as of_postgres;
use crate::store::postgres::queue;
use crate::store::postgres::statement::recorder::{Recorded, record as recorded};
use crate::store::postgres::tests::side::Side;
use crate::store::shared::standstill::{Looks, Range};
use crate::store::transfer::{CopyName, Exports};
use crate::store::*;

fn now() -> Timestamp {
    Timestamp::now()
}

/// All that sessions that read are asked.
pub(super) fn reads(crowd: &Crowd) -> Recorded {
    let store = &*crowd.forge.store;
    let (parent, branch) = (RunId(PARENT), RecordId(1));
    let spawn = SpawnPath {
        run: parent,
        branch: "branch$b".into(),
        key: "parent$b$s".to_owned(),
    };
    recorded(|| {
        let run = store.find_run("flow", "parent").unwrap().unwrap();
        store.run(parent).unwrap();
        store.context(parent).unwrap();
        store.awaited(&[parent]).unwrap();
        store.any_blocked().unwrap();
        store
            .child(parent, "branch$b", "child", "parent$b$s$1")
            .unwrap();
        store.history(parent, 1_000).unwrap();
        store.result(parent, branch).unwrap();
        store.branches(parent, &names(&["branch$b"])).unwrap();
        let outputs = store.outputs(&spawn, RunId(0), 10).unwrap();
        let ids: Vec<RunId> = outputs.iter().map(|(run, ..)| *run).collect();
        store.outputs_of(&ids).unwrap();
        store.completion_order(&spawn, 10).unwrap();
        failures(store, &spawn);
        let keys = names(&["parent$b$s$1", "parent$b$s$none"]);
        store.existing_children(parent, "branch$b", &keys).unwrap();
        store.blocked_children(parent, 3).unwrap();
        store.blocked_descendants(&run, 3).unwrap();
        standstill(&crowd.store, &run);
        store.branches_of(parent).unwrap();
        store.branch_states(parent, 3).unwrap();
        store.branch_counters(branch).unwrap();
        store
            .count_children(branch, RunId(0), RunId(900), 100)
            .unwrap();
        store.audit_work(RecordId(0), 10, now(), now()).unwrap();
        let repeating = store.find_run("flow", "x1").unwrap().unwrap();
        store.pending(repeating.id, 10).unwrap();
        let (queues, served) = (names(&["default"]), names(&["flow"]));
        store.next_wake(&queues, &served).unwrap();
        store.outlook(&queues, &served).unwrap();
        store.unknown_due(&served, now(), 10).unwrap();
        store.unserved(now(), 10).unwrap();
        store.applications(&names(&["flow"])).unwrap();
        store.live_workers().unwrap();
        store.serving().unwrap();
        crowd.store.read("open", queue::latest_arrival).unwrap();
        store.database_now().unwrap();
        exports(&crowd.store);
    })
}

fn standstill(looks: &impl Looks, run: &RunRow) {
    looks.blocked_links(run, run.id).unwrap();
    looks.joins(&[run.id, RunId(700)]).unwrap();
    looks.blocked_run(RunId(700)).unwrap();
    let range = Range {
        workflow: "child",
        queue: "default",
        level: Level(10),
        now: now(),
    };
    looks.due_links(run, range).unwrap();
}

fn failures(store: &dyn Store, spawn: &SpawnPath) {
    let first = FailurePlace {
        child: RunId(0),
        rest: None,
    };
    store.failures(spawn, &first, 100, 100).unwrap();
    let rest = FailureRest {
        step: String::new(),
        attempt: 1,
        until: RunId(40),
    };
    let middle = FailurePlace {
        child: RunId(10),
        rest: Some(rest),
    };
    store.failures(spawn, &middle, 100, 100).unwrap();
}

fn exports(store: &dyn Exports) {
    let mut snapshot = store.snapshot().unwrap();
    snapshot.runs(RunId(0), 10).unwrap();
    snapshot.records((RunId(0), ""), RunId(10), 10).unwrap();
    snapshot.errors((RunId(0), 0), RunId(10), 10).unwrap();
    store.copies(&[RunId(1)]).unwrap();
    let parent = Some((RunId(1), "branch$b"));
    let name = |key, parent| CopyName {
        workflow: "flow",
        key,
        parent,
    };
    let names = [name("parent", None), name("parent$b$s$1", parent)];
    store.find(&names).unwrap();
    store.import_note("x").unwrap();
    store.unfinished_import().unwrap();
}

/// All that sessions that write are told.
pub(super) fn writes(crowd: &mut Crowd) -> Recorded {
    let forge = &mut crowd.forge;
    let parts = parts(&crowd.store, RunId(PARENT));
    recorded(|| {
        passes(forge);
        let branch = families(forge);
        busy_parent(forge, &mut crowd.side);
        operators(forge);
        audits(forge, &mut crowd.side, branch);
        imports(forge, parts);
        workers(forge);
    })
}

/// Starts, claims and the ends of passes.
fn passes(forge: &mut Forge) {
    let run = forge.running("x1");
    forge.running("x2");
    forge.start_at("x3", 1, now());
    let again = [start("x3", "flow", 1, None)];
    forge.writer.start(&again, now()).unwrap();
    forge.writer.wake("flow", "x3", now()).unwrap();
    forge.claim(now());
    assert!(take_from(forge, "nowhere").is_empty());
    // A batch that fits one statement, and one that does not.
    let plan = forge.plan(&run);
    let repeat = Record {
        metadata: Some(r#"{"frontier":5,"tick":{"at":6}}"#.into()),
        ..record("repeat$r")
    };
    forge.apply(&Plan {
        records: vec![record("step$s1"), record("wait$w"), repeat],
        ..plan.clone()
    });
    let withdrawal = Withdrawal {
        step_name: "wait$w".into(),
    };
    forge.apply(&Plan {
        records: vec![completed(1, "1"), completed(2, "2")],
        withdrawals: vec![withdrawal],
        errors: vec![error(Some("step$s1"), 1, "e")],
        context: written("c", "1"),
        consumes_wake: true,
        progress: true,
        ..plan
    });
    // What a fresh run writes first.
    let fresh = forge.running("fresh");
    forge.apply(&Plan {
        is_first: true,
        records: vec![completed(1, "1")],
        context: written("c", "1"),
        ..forge.plan(&fresh)
    });
    // One that goes on and one that ends, in one statement.
    let last = forge.running("last");
    let goes_on = Plan {
        records: vec![completed(2, "2")],
        ..forge.plan(&fresh)
    };
    let ends = Plan {
        records: vec![completed(1, "1")],
        end: Some(done("1")),
        ..forge.plan(&last)
    };
    forge.writer.apply(&[ends, goes_on], at(2)).unwrap();
    let failed = RunEnd::Failed {
        at: at(3),
        attempts: 1,
        retry_counts: None,
    };
    forge.end(&run, failed);
    // Whatever this run was, it is not held any more.
    forge.end(&run, done("1"));
}

fn take_from(forge: &mut Forge, queue: &str) -> Vec<ClaimedRun> {
    let request = ClaimRequest {
        worker: forge.worker,
        now: now(),
        queues: &[Room {
            queue: queue.to_owned(),
            ..room(10)
        }],
        workflows: &names(&["flow"]),
        lowest_first: true,
        quarantine_slot: false,
        quarantine_from: 2,
        company: Suspects::none(LIMITS),
    };
    forge.writer.claim_due(&request).unwrap().runs
}

/// Dispatches, seals and the ends of children; answers a branch whose counter is out of step, as damage would
/// have it.
fn families(forge: &mut Forge) -> RecordId {
    let parent = forge.running("p");
    let children = forge.branch(&parent, 30);
    let claimed = |child: &ClaimedRun| forge.plan(child);
    let plans: Vec<Plan> = children
        .iter()
        .map(|child| Plan {
            is_first: true,
            records: vec![completed(1, "1")],
            end: Some(done("1")),
            ..claimed(child)
        })
        .collect();
    // The same children again, and a few more.
    let more = Plan {
        dispatches: vec![dispatch(33, false)],
        ..forge.plan(&parent)
    };
    forge.writer.apply(&[more], at(1)).unwrap();
    forge.seal(&parent);
    forge.end(&parent, parked(None));
    forge.writer.held_up(&plans[..20]).unwrap();
    let asked = RunCall {
        run: RunName::Id(parent.id),
        asks: RunAsks::Wake,
    };
    forge.writer.calls_held_up(&[asked]).unwrap();
    forge.writer.apply(&plans[..20], at(2)).unwrap();
    forge.writer.apply(&plans[20..], at(2)).unwrap();
    let rest = forge.claim_as(forge.worker, at(100));
    for child in rest.iter().filter(|run| run.parent.is_some()).take(3) {
        forge.end(child, done("1"));
    }
    let branch = forge.store.branches_of(parent.id).unwrap()[0];
    forge.edit(&format!(
        "UPDATE chrono_forge_execution_logs SET spawned = spawned + 1, pending = pending + 1
        WHERE id = {branch}"
    ));
    branch
}

/// The last child of somebody who is locked meanwhile.
fn busy_parent(forge: &mut Forge, side: &mut Side) {
    let parent = forge.running("busy");
    let plan = Plan {
        dispatches: vec![family("busy", 1, true)],
        ..forge.plan(&parent)
    };
    let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
    let child = applied.outcomes[0].claimed.remove(0);
    forge.seal(&parent);
    side.hold_run(parent.id);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            side.until_somebody_waits();
            side.run("COMMIT");
        });
        forge.end(&child, done("1"));
    });
}

fn operators(forge: &mut Forge) {
    let of = |application: &str| Belonging::from(("flow".to_owned(), application.to_owned()));
    forge.writer.enter_workflows(&[of("shop")], now()).unwrap();
    let run = forge.running("x4");
    forge.apply(&Plan {
        records: vec![Record {
            state: RecordState::Failed,
            ..completed(1, "1")
        }],
        errors: vec![error(Some("step$s1"), 1, "e")],
        ..forge.plan(&run)
    });
    let stalled = || RunEnd::Stalled {
        attempts: None,
        step_name: "step$s1".into(),
        at: at(3),
    };
    forge.end(&run, stalled());
    let unknown = names(&["step$none"]);
    let writer = &mut forge.writer;
    writer.retry("flow", "x4", Some(&unknown), now()).unwrap();
    let named = names(&["step$s1"]);
    let with_args = RunCall {
        run: RunName::key("flow", "x4"),
        asks: RunAsks::Retry(Rearm {
            records: Some(named.clone()),
            args: Some("[1]".into()),
        }),
    };
    writer.call_runs(&[with_args], now()).unwrap();
    writer.retry("flow", "x4", Some(&named), now()).unwrap();
    writer
        .retry("child", "parent$b$s$200", None, now())
        .unwrap();
    for branch in [None, Some(RecordId(1))] {
        let page = BlockedPage {
            filter: &RetryFilter::new(),
            branch,
            after: RunId(0),
            until: at(1_000_000),
            limit: 5,
        };
        writer.retry_blocked(&page, now()).unwrap();
    }
    writer.unlock("flow", "x2", now()).unwrap();
    writer.reset_crashes("flow", "x2", now()).unwrap();
    let wake = |key: &str| RunCall {
        run: RunName::key("flow", key),
        asks: RunAsks::Wake,
    };
    writer.call_runs(&[wake("x2"), wake("x3")], now()).unwrap();
    let by_id = RunCall {
        run: RunName::Id(RunId(1)),
        asks: RunAsks::Wake,
    };
    writer.call_runs(&[by_id], now()).unwrap();
    writer.notify(&[Call::Due]).unwrap();
}

fn audits(forge: &mut Forge, side: &mut Side, broken: RecordId) {
    let branches = [RecordId(1), RecordId(2)];
    let writer = &mut forge.writer;
    writer.enter_audits(&branches, at(0), now()).unwrap();
    let ask = |scope| AuditRequest {
        scope,
        lease_until: at(60),
    };
    let due = AuditScope::Due {
        limit: 1,
        children_max: 10,
    };
    let mut claims = writer.claim_audits(&ask(due), at(1)).unwrap();
    let named = ask(AuditScope::Of(&branches));
    claims.extend(writer.claim_audits(&named, at(1)).unwrap());
    let seen = of_postgres::look(side.conn(), broken).unwrap().unwrap();
    writer.correct_branch(broken, &seen, now()).unwrap();
    writer.recount_branch(broken, now()).unwrap();
    let finding = |claim: &AuditClaim| AuditFinding {
        branch: claim.branch,
        round: claim.round,
        sample: BranchSample {
            at: at(50),
            spawned: 3,
            pending: 1,
        },
        never_started: 1,
        rate_micros: None,
        next_at: at(60),
        is_over: true,
    };
    let findings: Vec<AuditFinding> = claims.iter().map(finding).collect();
    writer.record_audits(&findings, now()).unwrap();
}

/// Runs of the crowd under another name.
fn parts(store: &dyn Store, parent: RunId) -> Vec<RunParts> {
    let runs = [("flow", "asleep1"), ("child", "parent$b$s$1")];
    let id = |(workflow, key)| store.find_run(workflow, key).unwrap().unwrap().id;
    let copies = store.copies(&runs.map(id)).unwrap();
    let renamed = copies
        .into_iter()
        .enumerate()
        .map(|(nth, (_, run))| RunParts {
            parent: run.parent.is_some().then_some(parent),
            run: RunCopy {
                key: format!("copy{nth}"),
                ..run
            },
            records: Vec::new(),
            errors: Vec::new(),
        });
    renamed.collect()
}

fn imports(forge: &mut Forge, parts: Vec<RunParts>) {
    let writer = &mut forge.writer;
    writer.begin_import("x", now()).unwrap();
    writer.import_runs(&parts, now()).unwrap();
    writer.finish_import("x", now()).unwrap();
    writer.begin_import("y", now()).unwrap();
    writer.abandon_import("y").unwrap();
}

/// Heartbeats and deaths; the last thing of all.
fn workers(forge: &mut Forge) {
    let held = forge.running("x5");
    let orphan = forge.running("x6");
    let worker = forge.worker;
    let writer = &mut forge.writer;
    writer.heartbeat(worker, &[known(&held)], now()).unwrap();
    // Of another life.
    let other = WorkerId(worker.0, Incarnation(worker.1.0 ^ 1));
    writer.heartbeat(other, &[], now()).unwrap();
    writer
        .release_orphans(worker, &[known(&orphan)], now())
        .unwrap();
    let dead = enter(writer.as_mut()).unwrap();
    let starts = ["x7", "x8"].map(|key| start(key, "flow", 1, Some(dead)));
    writer.start(&starts, now()).unwrap();
    forge.edit("UPDATE chrono_forge_workflows SET crashes = 6 WHERE key = 'x7'");

    let limits = LIMITS;
    let poison = forge.store.find_run("flow", "x7").unwrap().unwrap();
    let writer = &mut forge.writer;
    let suspects = [(poison.id, poison.epoch)];
    writer.note_suspects(dead, &suspects).unwrap();
    writer.came_back(&suspects).unwrap();
    writer.quarantine(poison.id, 1).unwrap();
    writer.note_stuck(dead, None).unwrap();
    writer
        .declare_dead(dead, Some(at(-99)), limits, now())
        .unwrap();
    let recovered = writer.declare_dead(dead, None, limits, now()).unwrap();
    let recovered = recovered.unwrap();
    assert_eq!((recovered.due, recovered.poisoned.len()), (1, 1));
    let leaving = enter(writer.as_mut()).unwrap();
    writer.retire_worker(leaving, now()).unwrap();
}
