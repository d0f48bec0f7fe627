-- Instants are INTEGER microseconds since 1970, payloads are JSON text, states are small integers.
-- Short columns come first and payloads last: SQLite walks a row from its start, and a long payload
-- in front would put the columns that every claim and commit reads on an overflow page.
-- AUTOINCREMENT, where an id outlives its row in someone's memory: it must never be given out twice.
-- References are documentation: the store keeps them by construction and does not pay for checks.

-- One row a run; the row is its own queue entry: due means idle and wake_at <= now.
CREATE TABLE chrono_forge_workflows (
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
    UNIQUE (workflow, key),
    CHECK (wake_at IS NULL OR state = 0),
    CHECK ((locked_by IS NOT NULL) = (state = 1))
) STRICT;

-- An index entry is the main cost of a child: a child that is inserted already claimed enters only
-- the unique index and `parent`, and its completion touches neither.
CREATE INDEX chrono_forge_workflows_ready
    ON chrono_forge_workflows (queue, priority, workflow, wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX chrono_forge_workflows_parent
    ON chrono_forge_workflows (parent_execution_log_id) WHERE parent_execution_log_id IS NOT NULL;
CREATE INDEX chrono_forge_workflows_listing
    ON chrono_forge_workflows (state, completed_at) WHERE parent_execution_log_id IS NULL;

-- One row a keyed record: what one operation of one run left behind.
CREATE TABLE chrono_forge_execution_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id INTEGER NOT NULL REFERENCES chrono_forge_workflows (id),
    step_name TEXT NOT NULL,
    -- Its place in the order in which the body received outcomes.
    seq INTEGER,
    -- pending 0, completed 1, failed 2
    state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 2),
    attempts INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER,
    last_executed_at INTEGER,
    wake_at INTEGER,
    completed_at INTEGER,
    -- Branch rows: children dispatched, and those of them that have not completed.
    spawned INTEGER NOT NULL DEFAULT 0,
    pending INTEGER NOT NULL DEFAULT 0 CHECK (pending BETWEEN 0 AND spawned),
    error_class TEXT,
    error_message TEXT,
    metadata TEXT,
    context_delta TEXT,
    result TEXT,
    UNIQUE (workflow_id, step_name)
) STRICT;

-- One row a failed attempt.
CREATE TABLE chrono_forge_error_logs (
    id INTEGER PRIMARY KEY,
    workflow_id INTEGER NOT NULL REFERENCES chrono_forge_workflows (id),
    -- Null: an error of the body itself.
    step_name TEXT,
    attempt INTEGER NOT NULL CHECK (attempt >= 1),
    error_class TEXT NOT NULL,
    error_message TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    backtrace TEXT,
    context TEXT
) STRICT;

-- An expression, because nulls are distinct from each other in a unique constraint.
CREATE UNIQUE INDEX chrono_forge_error_logs_attempt
    ON chrono_forge_error_logs (workflow_id, ifnull(step_name, ''), attempt);

-- One row a worker process (or a life of it: who is declared dead comes back under a new id).
CREATE TABLE chrono_forge_workers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    stopped_at INTEGER
) STRICT;

CREATE INDEX chrono_forge_workers_live
    ON chrono_forge_workers (id) WHERE stopped_at IS NULL;

-- One row per failed, stalled or canceled run, so that the operator's first question is a short scan.
CREATE TABLE chrono_forge_blocked (
    workflow_id INTEGER PRIMARY KEY REFERENCES chrono_forge_workflows (id),
    parent_execution_log_id INTEGER REFERENCES chrono_forge_execution_logs (id),
    state INTEGER NOT NULL CHECK (state IN (3, 4, 5)),
    since INTEGER NOT NULL
) STRICT;

-- One row per batch of claims: what a worker holds is a read of a few rows.
CREATE TABLE chrono_forge_claims (
    worker_id INTEGER NOT NULL REFERENCES chrono_forge_workers (id),
    id INTEGER NOT NULL,
    run_ids TEXT NOT NULL,
    PRIMARY KEY (worker_id, id)
) STRICT, WITHOUT ROWID;
