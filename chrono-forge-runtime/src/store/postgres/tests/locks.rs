//! The order of locks: a batch is held up at one row, and what it has locked by then must be exactly what comes
//! before that row.

use super::side::Side;
use crate::record::*;
use crate::store::conformance::fixture::*;
use crate::store::*;

const BRANCHES: &str = "chrono_forge_execution_logs";
const RUNS: &str = "chrono_forge_workflows";
const WORKERS: &str = "chrono_forge_workers";

/// What commits lock rows with.
const LOCK: &str = "NO KEY UPDATE";

/// As nobody would sort them.
const SHUFFLED: [usize; 8] = [5, 2, 7, 0, 3, 6, 1, 4];

fn shuffled<T: Clone>(all: &[T]) -> Vec<T> {
    let places = SHUFFLED.iter().filter(|place| **place < all.len());
    places.map(|place| all[*place].clone()).collect()
}

/// Applies the plans while somebody else has this row locked; answers what `look` finds while they wait for it, and
/// what became of them. Who looks must not fail: they would wait for ever.
fn apply_behind<T>(
    side: &mut Side,
    (table, row): (&str, i64),
    plans: &[Plan],
    look: impl FnOnce(&mut Side) -> T,
) -> (T, Applied) {
    let mut writer = side.patient_writer();
    side.run(&format!(
        "BEGIN; SELECT id FROM {table} WHERE id = {row} FOR UPDATE"
    ));
    std::thread::scope(|scope| {
        let applying = scope.spawn(move || writer.apply(plans, at(10)).unwrap());
        side.until_it_waits(&applying);
        let found = look(side);
        side.run("COMMIT");
        (found, applying.join().unwrap())
    })
}

fn assert_written(applied: &Applied) {
    for outcome in &applied.outcomes {
        let is_written = matches!(outcome.verdict, Verdict::Applied { .. });
        assert!(is_written, "{outcome:?}");
    }
}

/// Parents with a sealed branch of two children; one child of each, and their branch rows.
fn families(forge: &mut Forge, round: usize) -> (Vec<ClaimedRun>, Vec<i64>) {
    let children: Vec<ClaimedRun> = (0..SHUFFLED.len())
        .map(|nth| {
            let key = format!("r{round}p{nth}");
            let parent = forge.running(&key);
            let plan = Plan {
                dispatches: vec![family(&key, 2, true)],
                ..forge.plan(&parent)
            };
            let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
            forge.seal(&parent);
            forge.end(&parent, parked(None));
            applied.outcomes.remove(0).claimed.remove(0)
        })
        .collect();
    let branches = children.iter().map(|child| child.parent.unwrap().0);
    let branches = branches.collect();
    (children, branches)
}

#[test]
fn branch_rows_are_locked_by_id_and_after_all_runs() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    for held in [0, 3, 7] {
        let (children, branches) = families(&mut forge, held);
        assert!(branches.is_sorted());
        let plans: Vec<Plan> = shuffled(&children)
            .iter()
            .map(|child| Plan {
                end: Some(done("1")),
                ..forge.plan(child)
            })
            .collect();
        let runs: Vec<i64> = children.iter().map(|child| child.id.0).collect();
        let (free, applied) = apply_behind(&mut side, (BRANCHES, branches[held]), &plans, |side| {
            (
                side.free(BRANCHES, &branches, LOCK),
                side.free(RUNS, &runs, LOCK),
            )
        });
        assert_eq!(free, (branches[held + 1..].to_vec(), vec![]));
        assert_written(&applied);
        let rows = format!(
            "SELECT sum(pending) FROM {BRANCHES} WHERE id BETWEEN {} AND {}",
            branches[0], branches[7]
        );
        assert_eq!(side.count(&rows), 8);
    }
}

/// A parent that is busy: the second time it is among the runs, in the same order.
#[test]
fn a_parent_that_is_woken_is_locked_in_its_place_among_the_runs() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let first = forge.running("first");
    let parent = forge.running("p");
    let children = forge.branch(&parent, 1);
    forge.seal(&parent);
    forge.end(&parent, parked(None));
    let last = forge.running("z");
    let plans = [&last, &children[0], &first].map(|run| Plan {
        end: Some(done("1")),
        ..forge.plan(run)
    });
    let ids = [first.id.0, parent.id.0, children[0].id.0, last.id.0];
    assert!(ids.is_sorted());
    let (free, applied) = apply_behind(&mut side, (RUNS, parent.id.0), &plans, |side| {
        side.free(RUNS, &ids, LOCK)
    });
    assert_eq!(free, ids[2..]);
    assert_written(&applied);
    assert_eq!(applied.parents_woken, [parent.id]);
}

/// A seal writes its row earlier than the counters are; then rows of smaller ids are locked first.
#[test]
fn branch_rows_of_smaller_ids_are_locked_before_one_that_is_sealed() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let (children, branches) = families(&mut forge, 0);
    let sealing = forge.running("p");
    forge.branch(&sealing, 1);
    let sealed = forge.store.branches_of(sealing.id).unwrap()[0];
    assert!(sealed.0 > branches[7]);
    let seal = Plan {
        records: vec![Record {
            state: RecordState::Completed,
            ..record("branch$b")
        }],
        ..forge.plan(&sealing)
    };
    let completion = Plan {
        end: Some(done("1")),
        ..forge.plan(&children[3])
    };
    let all = [branches[3], sealed.0];
    let plans = [seal, completion];
    let (free, applied) = apply_behind(&mut side, (BRANCHES, branches[3]), &plans, |side| {
        side.free(BRANCHES, &all, LOCK)
    });
    assert_eq!(free, [sealed.0]);
    assert_written(&applied);
}

/// What a plan leaves of its run.
type Ends = fn(usize) -> Option<RunEnd>;

/// Batches that lock runs in all ways there are, each with so many runs.
const BATCHES: [(&str, usize, Ends); 6] = [
    ("parked", 8, |_| Some(parked(None))),
    ("completed", 8, |_| Some(done("1"))),
    ("mixed", 8, |nth| match nth {
        0 | 3 | 4 => Some(parked(None)),
        _ => Some(done("1")),
    }),
    ("brief", 4, |nth| (nth > 1).then(|| done("1"))),
    ("brief and completed", 4, |_| Some(done("1"))),
    ("brief but for the order", 4, |nth| {
        (nth < 2).then(|| done("1"))
    }),
];

#[test]
fn runs_are_locked_by_id() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    for (name, count, end) in BATCHES {
        for held in 0..count {
            let runs: Vec<ClaimedRun> = (0..count)
                .map(|nth| forge.running(&format!("{name}{held}n{nth}")))
                .collect();
            let plans: Vec<Plan> = runs
                .iter()
                .enumerate()
                .map(|(nth, run)| Plan {
                    records: vec![completed(1, "1")],
                    end: end(nth),
                    ..forge.plan(run)
                })
                .collect();
            let ids: Vec<i64> = runs.iter().map(|run| run.id.0).collect();
            let plans = shuffled(&plans);
            let (free, applied) = apply_behind(&mut side, (RUNS, ids[held]), &plans, |side| {
                side.free(RUNS, &ids, LOCK)
            });
            assert_eq!(free, ids[held + 1..], "{name}: {held} of {ids:?}");
            assert_written(&applied);
        }
    }
}

fn with_children(forge: &Forge, parent: &ClaimedRun) -> Plan {
    Plan {
        dispatches: vec![dispatch(3, true)],
        ..forge.plan(parent)
    }
}

/// A batch that is held up at a run has its worker's row already, as far as it needs it: nobody declares the worker
/// dead, and its heartbeat waits for nothing.
#[test]
fn who_is_given_children_is_kept_alive_before_any_run_is_locked() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let parent = forge.running("p");
    let worker = forge.worker.0;
    let plans = [with_children(&forge, &parent)];
    let held = (RUNS, parent.id.0);
    let (free, applied) = apply_behind(&mut side, held, &plans, |side| {
        ["UPDATE", LOCK].map(|lock| side.free(WORKERS, &[worker], lock))
    });
    assert_eq!(free, [vec![], vec![worker]]);
    assert_written(&applied);
    // Who inserts children that anybody may claim needs no worker.
    let open = Plan {
        dispatches: vec![family("q", 3, false)],
        ..forge.plan(&parent)
    };
    let (free, _) = apply_behind(&mut side, held, &[open], |side| {
        side.free(WORKERS, &[worker], "UPDATE")
    });
    assert_eq!(free, [worker]);
}

/// The other way round: whoever declares the worker dead comes first, and nothing is given to it.
#[test]
fn a_worker_that_is_being_declared_dead_is_given_no_children() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let parent = forge.running("p");
    let worker = forge.worker.0;
    let plans = [with_children(&forge, &parent)];
    let (free, applied) = apply_behind(&mut side, (WORKERS, worker), &plans, |side| {
        let free = side.free(RUNS, &[parent.id.0], LOCK);
        side.run(&format!(
            "UPDATE {WORKERS} SET stopped_at = now() WHERE id = {worker};
            UPDATE {RUNS} SET state = 0, locked_by = NULL, lock_epoch = 2::bigint << 32, wake_at = now()
            WHERE id = {};
            DELETE FROM chrono_forge_claims WHERE worker_id = {worker}",
            parent.id
        ));
        free
    });
    assert_eq!(free, [parent.id.0]);
    assert_eq!(applied.outcomes[0].verdict, Verdict::Fenced);
    assert_eq!(side.count(&format!("SELECT count(*) FROM {RUNS}")), 1);
    assert_eq!(side.count("SELECT count(*) FROM chrono_forge_claims"), 0);
}

/// Its commit has the child's row and wants the branch's, to count the child; who has the branch's
/// and waited for the child's would wait for ever.
#[test]
fn who_seals_a_branch_does_not_wait_for_a_child_that_is_on_its_way_to_its_end() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let parent = forge.running("p");
    let children = forge.branch(&parent, 2);
    side.run(&format!(
        "BEGIN; UPDATE {RUNS} SET state = 2, locked_by = NULL, output = '1' WHERE id = {}",
        children[1].id
    ));
    let seal = Record {
        state: RecordState::Completed,
        ..record("branch$b")
    };
    let plan = Plan {
        dispatches: vec![dispatch(2, true)],
        records: vec![seal],
        ..forge.plan(&parent)
    };
    let applied = forge.writer.apply(&[plan], at(2)).unwrap();
    assert_written(&applied);
    side.run("COMMIT");
}
