//! A database as it is after a long day: many runs that are done, asleep, due, blocked, or of a workflow that nobody
//! serves, with their records and errors.

use super::super::side::Side;
use crate::store::conformance::backend::postgres::Schema;
use crate::store::conformance::fixture::Forge;
use crate::store::postgres::PostgresStore;

pub(super) struct Crowd {
    /// Before the forge, whose schema goes last.
    pub(super) store: PostgresStore,
    pub(super) side: Side,
    pub(super) forge: Forge,
}

/// The parent of most runs, and its branch.
pub(super) const PARENT: i64 = 1;
/// The parent of the due ones.
const OTHER_PARENT: i64 = 2;

impl Crowd {
    pub(super) fn new() -> Self {
        let schema = Schema::new();
        let options = schema.options();
        let forge = Forge::of(Box::new(schema));
        let mut side = Side::of(&options);
        let runs = std::env::var("CHRONO_FORGE_TEST_CROWD_RUNS")
            .map_or(100_000, |runs| runs.parse().unwrap());
        fill(&mut side, runs);
        let store = PostgresStore::open(options).unwrap();
        Self { store, side, forge }
    }

    /// The first part of the server's version.
    pub(super) fn server_major(&mut self) -> String {
        let number = "SELECT current_setting('server_version_num')::bigint / 10000";
        self.side.count(number).to_string()
    }
}

/// Due at once, from now on.
const NOW: &str = "now() - interval '35063280 hours'";

/// Of a hundred runs sixty are children that have completed (one in two hundred of them has failed for good), ten are
/// due children of another parent, twenty sleep and ten are due and of a workflow that nobody serves.
fn fill(side: &mut Side, runs: i64) {
    let (done, due, asleep) = (runs * 6 / 10, runs / 10, runs * 2 / 10);
    let nobodys = runs - done - due - asleep;
    // Test data need not survive a crash.
    side.run(
        "ALTER TABLE chrono_forge_workflows SET UNLOGGED;
        ALTER TABLE chrono_forge_execution_logs SET UNLOGGED;
        ALTER TABLE chrono_forge_error_logs SET UNLOGGED;
        ALTER TABLE chrono_forge_blocked SET UNLOGGED",
    );
    side.run(&format!(
        "INSERT INTO chrono_forge_workflows
            (workflow, key, queue, priority, args, created_at, updated_at)
        VALUES ('flow', 'parent', 'default', 1, '{{}}', now(), now()),
            ('flow', 'other', 'default', 1, '{{}}', now(), now());
        INSERT INTO chrono_forge_execution_logs
            (workflow_id, step_name, state, started_at, spawned, pending, metadata)
        VALUES ({PARENT}, 'branch$b', 1, now(), {done}, {done} / 200, '{{}}'),
            ({OTHER_PARENT}, 'branch$b', 0, now(), {due}, {due}, '{{}}')"
    ));
    side.run(&format!(
        "INSERT INTO chrono_forge_workflows
            (workflow, key, queue, priority, args, output, created_at, updated_at, started_at,
             completed_at, state, lock_epoch, parent_execution_log_id)
        SELECT 'child', 'parent$b$s$' || i, 'default', 10, i::text, i::text, now(), now(), now(),
            CASE WHEN i % 200 > 0 THEN now() + i * interval '1 us' END,
            CASE WHEN i % 200 > 0 THEN 2 ELSE 3 END, 1, 1
        FROM generate_series(1, {done}) AS i;
        INSERT INTO chrono_forge_execution_logs
            (workflow_id, step_name, seq, state, attempts, started_at, completed_at, result)
        SELECT id, 'step$s', 1, state - 1, 1, now(), now(), '1'
        FROM chrono_forge_workflows WHERE parent_execution_log_id = 1 ORDER BY id;
        INSERT INTO chrono_forge_context (workflow_id, key, value)
        SELECT id, 'k', '1' FROM chrono_forge_workflows ORDER BY id;
        INSERT INTO chrono_forge_error_logs
            (workflow_id, step_name, attempt, error_class, error_message, created_at)
        SELECT id, 'step$s', 1, 'Broken', 'broken', now()
        FROM chrono_forge_workflows WHERE parent_execution_log_id = 1 AND id % 10 = 0 ORDER BY id;
        INSERT INTO chrono_forge_blocked (workflow_id, parent_execution_log_id, state, since)
        SELECT id, 1, 3, now() FROM chrono_forge_workflows WHERE state = 3 ORDER BY id"
    ));
    let asleep_at = "'2100-01-01'::timestamptz";
    for (workflow, key, level, wake_at, parent, count) in [
        ("child", "other$b$s$", 10, NOW, "2", due),
        ("flow", "asleep", 1, asleep_at, "NULL", asleep),
        ("nobodys", "due", 1, NOW, "NULL", nobodys),
    ] {
        side.run(&format!(
            "INSERT INTO chrono_forge_workflows
                (workflow, key, queue, priority, args, created_at, updated_at, wake_at,
                 parent_execution_log_id)
            SELECT '{workflow}', '{key}' || i, 'default', {level}, i::text, now(), now(),
                {wake_at} + i * interval '1 us', {parent}
            FROM generate_series(1, {count}) AS i"
        ));
    }
    side.run("VACUUM ANALYZE");
    side.run(
        "CREATE FUNCTION plan_of(command text) RETURNS text LANGUAGE plpgsql AS
        'DECLARE plan text; BEGIN EXECUTE ''EXPLAIN (COSTS OFF, FORMAT JSON) '' || command INTO plan;
        RETURN plan; END'",
    );
}
