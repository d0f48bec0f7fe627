//! What bare SQL says: the store's statements without what only a store has to ask.

pub const START: &str = "
WITH started AS (
    INSERT INTO chrono_forge_workflows
        (id, workflow, key, queue, priority, args, created_at, updated_at, state, locked_by,
         lock_epoch, started_at)
    SELECT r.id, ?, r.key, 'default', 1, ?, v.at, v.at, 1, ?, 1, v.at
    FROM unnest(?, ?) AS r (id, key), (SELECT ?::timestamptz AS at) AS v
    RETURNING id
)
INSERT INTO chrono_forge_claims (worker_id, run_ids) SELECT ?, array_agg(id) FROM started";

pub const INSERT_CHILDREN: &str = "
INSERT INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, parent_execution_log_id, created_at, updated_at,
     started_at, locked_by, state, lock_epoch)
SELECT v.id, 'child', v.key, 'default', v.priority::smallint, v.args, c.parent, c.at, c.at, c.at,
    c.worker, 1, 1
FROM unnest(?, ?, ?, ?) AS v (id, key, priority, args),
    (SELECT ?::bigint AS parent, ?::timestamptz AS at, ?::bigint AS worker) AS c";

pub const INSERT_IDLE: &str = "
INSERT INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, parent_execution_log_id, created_at, updated_at,
     wake_at, state, lock_epoch)
SELECT v.id, 'child', v.key, 'default', v.priority::smallint, v.args, c.parent, c.at, c.at, c.at, 0, 0
FROM unnest(?, ?, ?, ?) AS v (id, key, priority, args),
    (SELECT ?::bigint AS parent, ?::timestamptz AS at) AS c";

/// Knows what is due, so there is no look at the queue.
pub const CLAIM_CHILDREN: &str = "
WITH taken AS (
    UPDATE chrono_forge_workflows AS w SET
        state = 1, wake_at = NULL, locked_by = c.worker, lock_epoch = 1, started_at = c.at,
        updated_at = c.at
    FROM (SELECT ?::bigint AS worker, ?::timestamptz AS at) AS c
    WHERE w.id = ANY(?) AND w.state = 0
    RETURNING w.id
)
INSERT INTO chrono_forge_claims (worker_id, run_ids) SELECT ?, array_agg(id) FROM taken";

pub const CLAIMS: &str = "INSERT INTO chrono_forge_claims (worker_id, run_ids) VALUES (?, ?)";

/// The fence of runs that go on, and their lock.
pub const HOLD: &str = "
SELECT count(*) FROM (
    SELECT id FROM chrono_forge_workflows
    WHERE id = ANY(?) AND locked_by = ? AND lock_epoch = 1
    ORDER BY id FOR NO KEY UPDATE
) AS held";

/// The fence of runs that complete, and their completion.
pub const COMPLETE: &str = "
UPDATE chrono_forge_workflows AS w SET
    state = 2, locked_by = NULL, output = v.output, completed_at = c.at, updated_at = c.at
FROM unnest(?, ?) AS v (id, output), (SELECT ?::timestamptz AS at, ?::bigint AS worker) AS c
WHERE w.id = v.id AND w.locked_by = c.worker AND w.lock_epoch = 1";

pub const RECORD: &str = "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, completed_at,
     result)
SELECT v.id, c.name, c.seq, 1, 1, c.at, c.at, c.at, v.result
FROM unnest(?, ?) AS v (id, result),
    (SELECT ?::text AS name, ?::bigint AS seq, ?::timestamptz AS at) AS c";

pub const BRANCH: &str = "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, started_at, spawned, pending, metadata)
VALUES (?, 'branch$all', ?, 0, 0, '{}') RETURNING id";

pub const COUNT: &str = "
UPDATE chrono_forge_execution_logs AS l SET
    spawned = l.spawned + c.added, pending = l.pending + c.added - c.done
FROM (SELECT ?::bigint AS id, ?::bigint AS added, ?::bigint AS done) AS c
WHERE l.id = c.id RETURNING l.pending";

/// The same, with the cursor of what was added.
pub const RAISE: &str = "
UPDATE chrono_forge_execution_logs AS l SET
    spawned = l.spawned + c.added, pending = l.pending + c.added - c.done, metadata = c.metadata
FROM (SELECT ?::bigint AS id, ?::bigint AS added, ?::bigint AS done, ?::text AS metadata) AS c
WHERE l.id = c.id RETURNING l.pending";

pub const SEAL: &str = "
UPDATE chrono_forge_execution_logs SET
    seq = 1, state = 1, attempts = 1, last_executed_at = ?, completed_at = ?, result = ?
WHERE id = ?";

pub const PARK: &str = "
UPDATE chrono_forge_workflows SET state = 0, locked_by = NULL, updated_at = ? WHERE id = ?";

pub const ROUSE: &str = "
UPDATE chrono_forge_workflows SET wake_at = ?, updated_at = ? WHERE id = ?";

pub const TAKE: &str = "
WITH taken AS (
    UPDATE chrono_forge_workflows SET
        state = 1, wake_at = NULL, locked_by = ?, lock_epoch = 2, updated_at = ?
    WHERE id = ? RETURNING id
)
INSERT INTO chrono_forge_claims (worker_id, run_ids) SELECT ?, array_agg(id) FROM taken";

/// A step of one run by itself: fence, record and, at the last one, completion in one round trip.
pub const STEP: &str = "
WITH held AS (
    SELECT id FROM chrono_forge_workflows
    WHERE id = ? AND locked_by = ? AND lock_epoch = 1 FOR NO KEY UPDATE
)
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, completed_at,
     result)
SELECT id, ?, ?, 1, 1, c.at, c.at, c.at, ? FROM held, (SELECT ?::timestamptz AS at) AS c";

pub const LAST_STEP: &str = "
WITH done AS (
    UPDATE chrono_forge_workflows SET
        state = 2, locked_by = NULL, output = ?, completed_at = c.at, updated_at = c.at
    FROM (SELECT ?::timestamptz AS at) AS c
    WHERE id = ? AND locked_by = ? AND lock_epoch = 1
    RETURNING id, completed_at AS at
)
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, completed_at,
     result)
SELECT id, ?, ?, 1, 1, at, at, at, ? FROM done";

/// The end of a parent: what it has merged is on its branch already.
pub const MERGE: &str = "
WITH done AS (
    UPDATE chrono_forge_workflows SET
        state = 2, locked_by = NULL, output = ?, completed_at = c.at, updated_at = c.at
    FROM (SELECT ?::timestamptz AS at) AS c
    WHERE id = ? AND locked_by = ? AND lock_epoch = 2
    RETURNING id, completed_at AS at
)
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, started_at, completed_at)
SELECT id, 'merge$all', 2, 1, at, at FROM done";
