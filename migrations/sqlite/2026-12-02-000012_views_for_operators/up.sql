-- For whoever looks at the database itself: views with words in place of numbers and times in place
-- of microseconds, each of which reads no more than it shows.
CREATE VIEW chrono_forge_runs AS
SELECT w.id, w.workflow, w.key, w.queue,
    CASE w.state
        WHEN 1 THEN 'running'
        WHEN 2 THEN 'completed'
        WHEN 3 THEN 'failed'
        WHEN 4 THEN 'stalled'
        WHEN 5 THEN 'canceled'
        ELSE CASE WHEN w.wake_at IS NULL THEN 'parked' WHEN w.wake_at <= unixepoch('subsec') * 1000000 THEN 'due' ELSE 'waiting' END
    END AS state,
    datetime((w.wake_at + iif(w.wake_at < -62167219200000000, 126227808000000000, 0)) / 1000000, 'unixepoch') AS due_at,
    k.name AS worker, unixepoch() - k.heartbeat_at / 1000000 AS worker_silent_for,
    p.workflow_id AS parent_id, p.step_name AS parent_branch,
    w.attempts AS failed_attempts, w.crashes AS deaths, w.stalled_by,
    datetime(w.created_at / 1000000, 'unixepoch') AS created_at,
    datetime(w.started_at / 1000000, 'unixepoch') AS started_at,
    datetime(w.completed_at / 1000000, 'unixepoch') AS completed_at,
    a.application
FROM chrono_forge_workflows AS w
LEFT JOIN chrono_forge_workers AS k ON k.id = w.locked_by
LEFT JOIN chrono_forge_execution_logs AS p ON p.id = w.parent_execution_log_id
LEFT JOIN chrono_forge_applications AS a ON a.workflow = w.workflow;

CREATE VIEW chrono_forge_stuck AS
SELECT w.id, w.workflow, w.key, w.queue,
    CASE b.state WHEN 3 THEN 'failed' WHEN 4 THEN 'stalled' ELSE 'canceled' END AS state,
    datetime(b.since / 1000000, 'unixepoch') AS since, unixepoch() - b.since / 1000000 AS age, w.stalled_by,
    e.attempt, e.error_class, e.error_message, p.workflow_id AS parent_id
FROM chrono_forge_blocked AS b
JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id
LEFT JOIN chrono_forge_execution_logs AS p ON p.id = w.parent_execution_log_id
LEFT JOIN chrono_forge_error_logs AS e ON e.id = (
    SELECT max(l.id) FROM chrono_forge_error_logs AS l WHERE l.workflow_id = b.workflow_id
);

CREATE VIEW chrono_forge_queue AS
SELECT q.queue, q.workflow, sum(q.is_due) AS due,
    datetime(min(iif(q.is_due, q.at, NULL)) / 1000000, 'unixepoch') AS due_since,
    unixepoch() - min(iif(q.is_due, q.at, NULL)) / 1000000 AS lag,
    sum(NOT q.is_due) AS waiting,
    datetime(min(iif(q.is_due, NULL, q.at)) / 1000000, 'unixepoch') AS next_at
FROM (
    SELECT w.queue, w.workflow, w.wake_at <= unixepoch('subsec') * 1000000 AS is_due,
        w.wake_at + iif(w.wake_at < -62167219200000000, 126227808000000000, 0) AS at
    FROM chrono_forge_workflows AS w
    WHERE w.wake_at IS NOT NULL
) AS q
GROUP BY q.queue, q.workflow;

CREATE VIEW chrono_forge_running AS
SELECT k.name AS worker, k.host, k.pid, unixepoch() - k.heartbeat_at / 1000000 AS worker_silent_for,
    w.id, w.workflow, w.key, w.queue, datetime(w.updated_at / 1000000, 'unixepoch') AS since,
    unixepoch() - w.updated_at / 1000000 AS age, w.crashes AS deaths
FROM chrono_forge_workers AS k
JOIN chrono_forge_workflows AS w ON w.locked_by = k.id AND w.id IN (
    SELECT held.value FROM chrono_forge_claims AS c, json_each(c.run_ids) AS held WHERE c.worker_id = k.id
)
WHERE k.stopped_at IS NULL;
