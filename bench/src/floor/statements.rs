//! The store's statements; see there why each is as it is. A row of a batch stands in braces.

/// Lost or woken runs; no row means that every fence holds.
pub const FENCE: &str = "
SELECT v.column1 FROM (VALUES {(?, ?, ?)}) AS v
LEFT JOIN chrono_forge_workflows AS w ON w.id = v.column1
WHERE w.locked_by IS NOT v.column2 OR w.lock_epoch IS NOT v.column3 OR w.wake_requested <> 0";

pub const START: &str = "
INSERT INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, created_at, updated_at, state, locked_by,
     lock_epoch, started_at)
VALUES {(?, ?, ?, 'default', ?, ?, ?, ?, 1, ?, 1, ?)}";

pub const INSERT_CLAIMED: &str = "
INSERT OR FAIL INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, parent_execution_log_id, created_at, updated_at,
     started_at, locked_by, state, lock_epoch)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)}";

pub const INSERT_IDLE: &str = "
INSERT OR FAIL INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, parent_execution_log_id, created_at, updated_at,
     wake_at)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}";

pub const CLAIMS: &str = "
INSERT INTO chrono_forge_claims (worker_id, id, run_ids)
SELECT ?1, ifnull(max(id), 0) + 1, ?2 FROM chrono_forge_claims WHERE worker_id = ?1";

/// The levels that a claim visits: healthy runs first, then those that try again what failed.
pub const HEALTHY: &str = "[0,1,2,3,4,5,6,7,8,9,10,11]";
pub const RETURNING: &str = "[12,13,14,15]";

pub const DUE: &str = "
SELECT w.id, w.key, w.workflow, w.priority, w.lock_epoch, w.args, w.attempts, w.retry_counts,
    w.crashes, w.parent_execution_log_id, w.created_at
FROM (SELECT ? AS value) AS queue
CROSS JOIN json_each(?) AS level
CROSS JOIN json_each(?) AS name
CROSS JOIN chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_ready
    ON w.queue = queue.value AND w.priority = level.value AND w.workflow = name.value
WHERE w.wake_at <= ? AND +w.state = 0 AND (
    SELECT 1 FROM chrono_forge_workflows AS f INDEXED BY chrono_forge_workflows_ready
    WHERE f.queue = queue.value AND f.priority = level.value AND f.wake_at IS NOT NULL LIMIT 1
) = 1
LIMIT ?";

/// When the next run becomes due.
pub const NEXT_WAKE: &str = "
SELECT min((
    SELECT w.wake_at
    FROM chrono_forge_workflows AS w INDEXED BY chrono_forge_workflows_ready
    WHERE w.queue = queue.value AND w.priority = level.value AND w.workflow = name.value
        AND w.wake_at IS NOT NULL
    ORDER BY w.wake_at LIMIT 1
))
FROM json_each(?) AS queue CROSS JOIN json_each(?) AS level CROSS JOIN json_each(?) AS name
WHERE (
    SELECT 1 FROM chrono_forge_workflows AS f INDEXED BY chrono_forge_workflows_ready
    WHERE f.queue = queue.value AND f.priority = level.value AND f.wake_at IS NOT NULL LIMIT 1
) = 1";

pub const TAKE: &str = "
UPDATE chrono_forge_workflows SET
    state = 1, wake_at = NULL, wake_requested = 0, locked_by = ?, lock_epoch = lock_epoch + 1,
    started_at = ifnull(started_at, ?), updated_at = ?
WHERE id IN (SELECT value FROM json_each(?))";

/// A step's completed record; what such a record leaves null is not bound.
pub const RECORD: &str = "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, seq, state, attempts, started_at, last_executed_at, completed_at,
     result)
VALUES {(?, ?, ?, 1, ?, ?, ?, ?, ?)}
ON CONFLICT (workflow_id, step_name) DO UPDATE SET
    seq = excluded.seq, state = excluded.state, attempts = excluded.attempts,
    last_executed_at = excluded.last_executed_at, completed_at = excluded.completed_at,
    result = excluded.result";

pub const RAISE: &str = "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, started_at, spawned, pending, metadata)
VALUES (?, 'branch$all', ?, ?, ?, ?)
ON CONFLICT (workflow_id, step_name) DO UPDATE SET
    spawned = spawned + excluded.spawned,
    pending = pending + excluded.pending,
    metadata = excluded.metadata
RETURNING id";

pub const COMPLETE: &str = "
UPDATE chrono_forge_workflows SET
    state = 2, locked_by = NULL, output = v.column2, completed_at = v.column3,
    updated_at = v.column3
FROM (VALUES {(?, ?, ?)}) AS v
WHERE chrono_forge_workflows.id = v.column1";

pub const COUNT_DOWN: &str = "
UPDATE chrono_forge_execution_logs SET pending = pending - ? WHERE id = ?";

pub const PARK: &str = "
UPDATE chrono_forge_workflows SET state = 0, locked_by = NULL, updated_at = ? WHERE id = ?";

pub const ROUSE: &str = "
UPDATE chrono_forge_workflows SET wake_at = ?, updated_at = ? WHERE id = ?";
