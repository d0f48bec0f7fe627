-- A child belongs to its parent run: two runs may have children of one workflow and key. SQLite
-- cannot drop the constraint that forbade it, so the table is written anew. Takes about as long as
-- copying the file; the ids stay, and so does the one that comes next.
CREATE TABLE chrono_forge_workflows_anew (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow TEXT NOT NULL,
    key TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    -- idle 0, running 1, completed 2, failed 3, stalled 4, canceled 5
    state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 5),
    -- Null: parked without a timer, or not idle.
    wake_at INTEGER,
    wake_requested INTEGER NOT NULL DEFAULT 0,
    locked_by INTEGER REFERENCES chrono_forge_workers (id),
    lock_epoch INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    parent_execution_log_id INTEGER REFERENCES chrono_forge_execution_logs (id),
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    updated_at INTEGER NOT NULL,
    stalled_by TEXT,
    definition_hash TEXT,
    trace_parent TEXT,
    retry_counts TEXT NOT NULL DEFAULT '{}',
    options TEXT NOT NULL DEFAULT '{}',
    args TEXT NOT NULL,
    output TEXT,
    context TEXT NOT NULL DEFAULT '{}',
    CHECK (wake_at IS NULL OR state = 0),
    CHECK ((locked_by IS NOT NULL) = (state = 1))
) STRICT;

INSERT INTO chrono_forge_workflows_anew (
    id, workflow, key, queue, priority, state,
    wake_at, wake_requested, locked_by, lock_epoch, attempts, crashes,
    parent_execution_log_id, created_at, started_at, completed_at, updated_at, stalled_by,
    definition_hash, trace_parent, retry_counts, options, args, output,
    context
)
SELECT
    id, workflow, key, queue, priority, state,
    wake_at, wake_requested, locked_by, lock_epoch, attempts, crashes,
    parent_execution_log_id, created_at, started_at, completed_at, updated_at, stalled_by,
    definition_hash, trace_parent, retry_counts, options, args, output,
    context
FROM chrono_forge_workflows ORDER BY id;

DELETE FROM sqlite_sequence WHERE name = 'chrono_forge_workflows_anew';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'chrono_forge_workflows_anew', seq FROM sqlite_sequence WHERE name = 'chrono_forge_workflows';

DROP TABLE chrono_forge_workflows;
ALTER TABLE chrono_forge_workflows_anew RENAME TO chrono_forge_workflows;

-- One entry a run, for its identity and for look-ups by key: who has no parent is under parent 0.
CREATE UNIQUE INDEX chrono_forge_workflows_identity
    ON chrono_forge_workflows (key, workflow, ifnull(parent_execution_log_id, 0));
CREATE INDEX chrono_forge_workflows_ready
    ON chrono_forge_workflows (queue, priority, workflow, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX chrono_forge_workflows_parent
    ON chrono_forge_workflows (parent_execution_log_id) WHERE parent_execution_log_id IS NOT NULL;
CREATE INDEX chrono_forge_workflows_listing
    ON chrono_forge_workflows (state, completed_at) WHERE parent_execution_log_id IS NULL;
