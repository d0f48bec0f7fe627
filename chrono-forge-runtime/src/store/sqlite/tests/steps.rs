//! Steps of SQLite's virtual machine: unlike time they are the same on every machine, and each row and
//! each index entry that is touched takes some. So what takes no more steps touches no more rows.

use rusqlite::{Connection, Params, StatementStatus};

use super::open;
use crate::record::Level;
use crate::store::conformance::fixture::*;
use crate::store::sqlite::{claim, queue};

/// Runs that are due and that the worker may take.
const DUE_RUNS: usize = 50;

const FEW: u32 = 200;
const MANY: u32 = 20_000;

/// Enters runs of one workflow at once: `?1` of them, due `?4` microseconds after the tests' beginning.
const CROWD: &str = "
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
INSERT INTO chrono_forge_workflows
    (workflow, key, queue, priority, wake_at, created_at, updated_at, args)
SELECT ?2, 'crowd' || i, ?3, 1, 1800000000000000 + ?4 + i, 0, 0, '{}' FROM n";

const HOUR_US: i64 = 3_600_000_000;

/// A file with due runs of `flow` in `default`, all of one level.
struct World {
    _forge: Forge,
    conn: Connection,
}

impl World {
    fn new() -> Self {
        let (mut forge, scratch) = open();
        for n in 0..DUE_RUNS {
            forge.start_at(&format!("r{n}"), 1, at(1));
        }
        let conn = Connection::open(scratch.path("forge.db")).unwrap();
        Self {
            _forge: forge,
            conn,
        }
    }

    fn enter(&self, runs: u32, workflow: &str, queue: &str, after_us: i64) {
        let bound = (runs, workflow, queue, after_us);
        assert_eq!(self.conn.execute(CROWD, bound).unwrap(), runs as usize);
    }

    /// The steps of a statement, and how many rows it answers.
    fn steps(&self, sql: &str, bound: impl Params) -> (i32, usize) {
        let mut statement = self.conn.prepare(sql).unwrap();
        let rows = statement.query_map(bound, |_| Ok(())).unwrap().count();
        (statement.get_status(StatementStatus::VmStep), rows)
    }

    fn claim(&self, workflows: &[&str]) -> (i32, usize) {
        let now = at(60).as_microsecond();
        let names = json(workflows);
        let bound = ("default", now, u32::MAX, true, levels(), names, 100);
        self.steps(claim::DUE, bound)
    }

    fn next_wake(&self, queues: &[&str], workflows: &[&str]) -> (i32, usize) {
        self.steps(queue::NEXT_WAKE, (json(queues), levels(), json(workflows)))
    }

    fn take(&self) -> (i32, usize) {
        let ids: Vec<i64> = (1..=DUE_RUNS as i64).collect();
        let ids = serde_json::to_string(&ids).unwrap();
        self.steps(claim::TAKE, (1, 7, 0, 0, ids))
    }
}

fn levels() -> String {
    let levels: Vec<i16> = Level::all().map(|level| level.0).collect();
    serde_json::to_string(&levels).unwrap()
}

fn json(names: &[&str]) -> String {
    serde_json::to_string(names).unwrap()
}

/// The steps of a look for the next wake-up, of a claim and of its take, beside such a crowd.
fn beside(runs: u32, workflow: &str, queue: &str, after_us: i64) -> [(i32, usize); 3] {
    let world = World::new();
    world.enter(runs, workflow, queue, after_us);
    let served = ["flow", "nap"];
    let look = world.next_wake(&["default", "naps"], &served);
    let claim = world.claim(&served);
    assert_eq!(claim.1, DUE_RUNS);
    [look, claim, world.take()]
}

#[test]
fn sleepers_cost_a_claim_nothing_in_whatever_queue_and_workflow() {
    for (workflow, queue) in [("flow", "default"), ("nap", "default"), ("nap", "naps")] {
        let few = beside(FEW, workflow, queue, HOUR_US);
        assert_eq!(few, beside(MANY, workflow, queue, HOUR_US), "{workflow}");
    }
}

#[test]
fn due_runs_that_nobody_here_serves_cost_a_claim_nothing() {
    for (workflow, queue) in [("elsewhere", "default"), ("flow", "unserved")] {
        let few = beside(FEW, workflow, queue, -HOUR_US);
        assert_eq!(few, beside(MANY, workflow, queue, -HOUR_US), "{workflow}");
    }
}

#[test]
fn the_steps_tell_of_rows_that_are_touched() {
    let obvious = "SELECT id FROM chrono_forge_workflows
        WHERE state = 0 AND wake_at <= 0 AND queue = 'default' AND workflow IN ('flow')";
    let walk = |runs| {
        let world = World::new();
        world.enter(runs, "elsewhere", "default", -HOUR_US);
        world.steps(obvious, ()).0
    };
    assert!(walk(MANY) - walk(FEW) > (MANY - FEW).cast_signed());
}

#[test]
fn a_level_that_nothing_waits_in_costs_the_same_whatever_is_served() {
    let world = World::new();
    let names: Vec<String> = (0..50).map(|n| format!("other{n}")).collect();
    let many: Vec<&str> = names.iter().map(String::as_str).chain(["flow"]).collect();
    let ranges = Level::COUNT as i32 * many.len() as i32;
    // Sixteen looks, and fifty-one ranges of the one level that is filled: not sixteen times as many.
    for (many, one) in [
        (world.claim(&many).0, world.claim(&["flow"]).0),
        (
            world.next_wake(&["default"], &many).0,
            world.next_wake(&["default"], &["flow"]).0,
        ),
    ] {
        assert!(many - one < 2 * ranges, "{many} steps instead of {one}");
    }
}
