-- For whoever looks at the database itself: what is in each table and column, and views with words
-- in place of numbers, each of which reads no more than it shows.
COMMENT ON TABLE chrono_forge_workflows IS 'One row a run, which is its own entry in the queue. Read it through chrono_forge_runs.';
COMMENT ON COLUMN chrono_forge_workflows.id IS 'The run; Run::id in Rust.';
COMMENT ON COLUMN chrono_forge_workflows.locked_by IS 'The worker that holds it: chrono_forge_workers.id. Null unless state is 1.';
COMMENT ON COLUMN chrono_forge_workflows.lock_epoch IS 'Which claim it is, in the upper half, with a random lower half. A commit under another one is turned away.';
COMMENT ON COLUMN chrono_forge_workflows.parent_execution_log_id IS 'The branch that it is a child of: chrono_forge_execution_logs.id. Null for a top-level run.';
COMMENT ON COLUMN chrono_forge_workflows.wake_at IS 'When it is due. Before year 1: at once, and 35,063,280 hours later is since when. Null: it waits for no instant, or is not idle.';
COMMENT ON COLUMN chrono_forge_workflows.created_at IS 'When it was started or spawned.';
COMMENT ON COLUMN chrono_forge_workflows.started_at IS 'When a worker took it for the first time.';
COMMENT ON COLUMN chrono_forge_workflows.completed_at IS 'When it completed or failed for good.';
COMMENT ON COLUMN chrono_forge_workflows.updated_at IS 'When this row was written last; of a running one, when its worker took it.';
COMMENT ON COLUMN chrono_forge_workflows.attempts IS 'Failed attempts of its body. Those of steps are in chrono_forge_error_logs.';
COMMENT ON COLUMN chrono_forge_workflows.crashes IS 'Workers that died while they held it, one after the other, without anything new recorded.';
COMMENT ON COLUMN chrono_forge_workflows.priority IS 'Lower is sooner. 0 to 2: top-level runs (high, normal, low). 3 to 11: children, by their place in the branch. From 12 on: those that try again.';
COMMENT ON COLUMN chrono_forge_workflows.state IS '0 idle (due, waiting or parked), 1 running, 2 completed, 3 failed, 4 stalled, 5 canceled.';
COMMENT ON COLUMN chrono_forge_workflows.wake_requested IS 'Somebody woke it while it ran: it looks again before it waits.';
COMMENT ON COLUMN chrono_forge_workflows.workflow IS 'The name of the workflow, which is that of its function unless it says otherwise.';
COMMENT ON COLUMN chrono_forge_workflows.key IS 'Given by who started it. A child''s begins with its parent''s: parent$branch$spawn$key.';
COMMENT ON COLUMN chrono_forge_workflows.queue IS 'The queue that a worker has to serve.';
COMMENT ON COLUMN chrono_forge_workflows.stalled_by IS 'The record that gave up, of a stalled run: chrono_forge_execution_logs.step_name.';
COMMENT ON COLUMN chrono_forge_workflows.definition_hash IS 'Not used yet.';
COMMENT ON COLUMN chrono_forge_workflows.trace_parent IS 'Not used yet.';
COMMENT ON COLUMN chrono_forge_workflows.retry_counts IS 'JSON: what of the body''s retries is used up.';
COMMENT ON COLUMN chrono_forge_workflows.options IS 'JSON: how it was started.';
COMMENT ON COLUMN chrono_forge_workflows.args IS 'JSON: its arguments.';
COMMENT ON COLUMN chrono_forge_workflows.output IS 'JSON: what its body returned.';
COMMENT ON COLUMN chrono_forge_workflows.context IS 'JSON: entries of its context from before chrono_forge_context, which stands before them.';

COMMENT ON TABLE chrono_forge_execution_logs IS 'One row for each step, wait, branch, repeat or condition of a run: what is recorded and not done again.';
COMMENT ON COLUMN chrono_forge_execution_logs.id IS 'The record; children of a branch name it as their parent_execution_log_id.';
COMMENT ON COLUMN chrono_forge_execution_logs.workflow_id IS 'Its run: chrono_forge_workflows.id.';
COMMENT ON COLUMN chrono_forge_execution_logs.step_name IS 'Kind and key, as step$charge. Unique in its run.';
COMMENT ON COLUMN chrono_forge_execution_logs.seq IS 'Its place in the order in which the body received outcomes.';
COMMENT ON COLUMN chrono_forge_execution_logs.state IS '0 pending, 1 completed, 2 failed.';
COMMENT ON COLUMN chrono_forge_execution_logs.spawned IS 'Of a branch: children dispatched so far.';
COMMENT ON COLUMN chrono_forge_execution_logs.pending IS 'Of a branch: those of them that have not completed.';
COMMENT ON COLUMN chrono_forge_execution_logs.started_at IS 'When it was begun first.';
COMMENT ON COLUMN chrono_forge_execution_logs.last_executed_at IS 'When it was attempted last.';
COMMENT ON COLUMN chrono_forge_execution_logs.wake_at IS 'When it is due: the end of a wait, or the next attempt.';
COMMENT ON COLUMN chrono_forge_execution_logs.completed_at IS 'When it was recorded for good.';
COMMENT ON COLUMN chrono_forge_execution_logs.attempts IS 'Failed attempts so far.';
COMMENT ON COLUMN chrono_forge_execution_logs.error_class IS 'The type of the error that it failed with.';
COMMENT ON COLUMN chrono_forge_execution_logs.error_message IS 'Its text, cut at 64 KiB.';
COMMENT ON COLUMN chrono_forge_execution_logs.metadata IS 'JSON: what the kind of record needs.';
COMMENT ON COLUMN chrono_forge_execution_logs.context_delta IS 'JSON: what it wrote to the context.';
COMMENT ON COLUMN chrono_forge_execution_logs.result IS 'JSON: what it returned.';

COMMENT ON TABLE chrono_forge_error_logs IS 'One row for each failed attempt, kept after the run has gone on.';
COMMENT ON COLUMN chrono_forge_error_logs.id IS 'Errors of one run are in this order.';
COMMENT ON COLUMN chrono_forge_error_logs.created_at IS 'When the attempt failed.';
COMMENT ON COLUMN chrono_forge_error_logs.workflow_id IS 'Its run: chrono_forge_workflows.id.';
COMMENT ON COLUMN chrono_forge_error_logs.step_name IS 'Its record; null: the body''s own error.';
COMMENT ON COLUMN chrono_forge_error_logs.attempt IS 'The number of the attempt, from 1.';
COMMENT ON COLUMN chrono_forge_error_logs.error_class IS 'The type of the error.';
COMMENT ON COLUMN chrono_forge_error_logs.error_message IS 'Its text, cut at 64 KiB.';
COMMENT ON COLUMN chrono_forge_error_logs.backtrace IS 'Where it came from, if it told.';
COMMENT ON COLUMN chrono_forge_error_logs.context IS 'JSON: what else was known of it.';

COMMENT ON TABLE chrono_forge_workers IS 'One row for each life of a worker process. Rows stay; the live ones have no stopped_at.';
COMMENT ON COLUMN chrono_forge_workers.id IS 'This life of the process; a new one has a new id.';
COMMENT ON COLUMN chrono_forge_workers.host IS 'The host that it runs on.';
COMMENT ON COLUMN chrono_forge_workers.started_at IS 'When it was opened.';
COMMENT ON COLUMN chrono_forge_workers.name IS 'Builder::worker_name. Its sessions have it in application_name of pg_stat_activity, if one was given.';
COMMENT ON COLUMN chrono_forge_workers.pid IS 'The process on its host; no process of this server.';
COMMENT ON COLUMN chrono_forge_workers.heartbeat_at IS 'When it renewed its lease last, by the database''s clock.';
COMMENT ON COLUMN chrono_forge_workers.stopped_at IS 'When it shut down or was declared dead.';
COMMENT ON COLUMN chrono_forge_workers.lease_micros IS 'For how long it may be silent before others take its runs.';
COMMENT ON COLUMN chrono_forge_workers.workflows IS 'JSON: the workflows that it executes.';
COMMENT ON COLUMN chrono_forge_workers.queues IS 'JSON: the queues that it serves.';
COMMENT ON COLUMN chrono_forge_workers.executes IS 'JSON: which runs under suspicion of killing workers it has begun.';
COMMENT ON COLUMN chrono_forge_workers.stuck IS 'What blocks its runtime; null as long as nothing does.';
COMMENT ON COLUMN chrono_forge_workers.incarnation IS 'A random number that tells this life from another under the same id.';
COMMENT ON COLUMN chrono_forge_workers.beats IS 'How often it renewed its lease.';

COMMENT ON TABLE chrono_forge_blocked IS 'One row for each run that is failed, stalled or canceled. Read it through chrono_forge_stuck.';
COMMENT ON COLUMN chrono_forge_blocked.workflow_id IS 'The run: chrono_forge_workflows.id.';
COMMENT ON COLUMN chrono_forge_blocked.parent_execution_log_id IS 'The branch that it keeps from its end: chrono_forge_execution_logs.id. Null for a top-level run.';
COMMENT ON COLUMN chrono_forge_blocked.since IS 'When it failed, stalled or was canceled.';
COMMENT ON COLUMN chrono_forge_blocked.state IS '3 failed, 4 stalled, 5 canceled.';
COMMENT ON TABLE chrono_forge_claims IS 'What live workers hold, a row for each batch of claims. Read it through chrono_forge_running.';
COMMENT ON COLUMN chrono_forge_claims.id IS 'The batch.';
COMMENT ON COLUMN chrono_forge_claims.worker_id IS 'Who holds it: chrono_forge_workers.id.';
COMMENT ON COLUMN chrono_forge_claims.run_ids IS 'What was claimed; chrono_forge_workflows.locked_by says which of these it still holds.';
COMMENT ON TABLE chrono_forge_audits IS 'One row for each branch that is open for longer than a moment: when its counters are checked next.';
COMMENT ON COLUMN chrono_forge_audits.execution_log_id IS 'The branch: chrono_forge_execution_logs.id.';
COMMENT ON COLUMN chrono_forge_audits.round IS 'How often somebody has taken it up; what an audit finds counts for its own round only.';
COMMENT ON COLUMN chrono_forge_audits.spawned IS 'Children dispatched by sampled_at.';
COMMENT ON COLUMN chrono_forge_audits.pending IS 'Children that had not completed by sampled_at.';
COMMENT ON COLUMN chrono_forge_audits.sampled_at IS 'When these two were noted; rates are measured from there.';
COMMENT ON COLUMN chrono_forge_audits.never_started IS 'Children that no worker had taken at the last audit. Null before the first one.';
COMMENT ON COLUMN chrono_forge_audits.rate_micros IS 'Children completed in a million seconds. Null while unknown.';
COMMENT ON COLUMN chrono_forge_audits.repairs IS 'How often its counter was wrong and was set right.';
COMMENT ON COLUMN chrono_forge_audits.next_at IS 'When it is audited next. Null: the branch is over, and the row stays for its repairs.';
COMMENT ON COLUMN chrono_forge_audits.audited_at IS 'When it was audited last. Null before the first time.';
COMMENT ON TABLE chrono_forge_context IS 'One row for each entry of a run''s context that was written. A null value: removed.';
COMMENT ON COLUMN chrono_forge_context.workflow_id IS 'The run: chrono_forge_workflows.id.';
COMMENT ON COLUMN chrono_forge_context.key IS 'The name of the entry.';
COMMENT ON COLUMN chrono_forge_context.value IS 'JSON. Null: removed.';
COMMENT ON TABLE chrono_forge_imports IS 'One row for each imported file. No worker begins while one is unfinished.';
COMMENT ON COLUMN chrono_forge_imports.id IS 'The export that the file is of.';
COMMENT ON COLUMN chrono_forge_imports.started_at IS 'When its import began.';
COMMENT ON COLUMN chrono_forge_imports.finished_at IS 'When it was complete. Null until then.';
COMMENT ON TABLE chrono_forge_applications IS 'One row for each name of a workflow: the application that it belongs to, which is the Cargo package of its function unless Builder::application says otherwise. No other application works under that name here.';
COMMENT ON COLUMN chrono_forge_applications.workflow IS 'The name.';
COMMENT ON COLUMN chrono_forge_applications.application IS 'Whose it is.';
COMMENT ON COLUMN chrono_forge_applications.since IS 'When that application served, started or spawned it first.';
COMMENT ON TABLE chrono_forge_schema_migrations IS 'The versions of this schema.';
COMMENT ON COLUMN chrono_forge_schema_migrations.version IS 'The migration.';
COMMENT ON COLUMN chrono_forge_schema_migrations.run_at IS 'When it was applied.';
COMMENT ON COLUMN chrono_forge_schema_migrations.oldest IS 'The oldest version whose binaries may still work beside it; null: none but those that know it.';

CREATE VIEW chrono_forge_runs AS
SELECT w.id, w.workflow, w.key, w.queue,
    CASE w.state
        WHEN 1 THEN 'running'
        WHEN 2 THEN 'completed'
        WHEN 3 THEN 'failed'
        WHEN 4 THEN 'stalled'
        WHEN 5 THEN 'canceled'
        ELSE CASE WHEN w.wake_at IS NULL THEN 'parked' WHEN w.wake_at <= now() THEN 'due' ELSE 'waiting' END
    END AS state,
    CASE WHEN w.wake_at < timestamptz '0001-01-01 00:00:00+00 BC' THEN w.wake_at + interval '35063280 hours' ELSE w.wake_at END AS due_at,
    k.name AS worker, now() - k.heartbeat_at AS worker_silent_for,
    p.workflow_id AS parent_id, p.step_name AS parent_branch,
    w.attempts AS failed_attempts, w.crashes AS deaths, w.stalled_by,
    w.created_at, w.started_at, w.completed_at, a.application
FROM chrono_forge_workflows AS w
LEFT JOIN chrono_forge_workers AS k ON k.id = w.locked_by
LEFT JOIN chrono_forge_execution_logs AS p ON p.id = w.parent_execution_log_id
LEFT JOIN chrono_forge_applications AS a ON a.workflow = w.workflow;

CREATE VIEW chrono_forge_stuck AS
SELECT w.id, w.workflow, w.key, w.queue,
    CASE b.state WHEN 3 THEN 'failed' WHEN 4 THEN 'stalled' ELSE 'canceled' END AS state,
    b.since, now() - b.since AS age, w.stalled_by,
    e.attempt, e.error_class, e.error_message, p.workflow_id AS parent_id
FROM chrono_forge_blocked AS b
JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id
LEFT JOIN chrono_forge_execution_logs AS p ON p.id = w.parent_execution_log_id
LEFT JOIN LATERAL (
    SELECT l.attempt, l.error_class, l.error_message FROM chrono_forge_error_logs AS l
    WHERE l.workflow_id = b.workflow_id ORDER BY l.id + 0 DESC LIMIT 1
) AS e ON true;

CREATE VIEW chrono_forge_queue AS
SELECT q.queue, q.workflow, count(*) FILTER (WHERE q.is_due) AS due,
    min(q.at) FILTER (WHERE q.is_due) AS due_since,
    now() - min(q.at) FILTER (WHERE q.is_due) AS lag,
    count(*) FILTER (WHERE NOT q.is_due) AS waiting,
    min(q.at) FILTER (WHERE NOT q.is_due) AS next_at
FROM (
    SELECT w.queue, w.workflow, w.wake_at <= now() AS is_due,
        CASE WHEN w.wake_at < timestamptz '0001-01-01 00:00:00+00 BC' THEN w.wake_at + interval '35063280 hours' ELSE w.wake_at END AS at
    FROM chrono_forge_workflows AS w
    WHERE w.wake_at IS NOT NULL
) AS q
GROUP BY q.queue, q.workflow;

CREATE VIEW chrono_forge_running AS
SELECT k.name AS worker, k.host, k.pid, now() - k.heartbeat_at AS worker_silent_for,
    w.id, w.workflow, w.key, w.queue, w.updated_at AS since, now() - w.updated_at AS age, w.crashes AS deaths
FROM chrono_forge_workers AS k
CROSS JOIN LATERAL (
    SELECT DISTINCT unnest(c.run_ids) AS id FROM chrono_forge_claims AS c WHERE c.worker_id = k.id
) AS held
JOIN chrono_forge_workflows AS w ON w.id = held.id AND w.locked_by = k.id
WHERE k.stopped_at IS NULL;

COMMENT ON VIEW chrono_forge_runs IS 'Every run, with its state in a word and its worker by name. Ask it for an id, a parent, or a workflow and key with octet_length(key) <= 1024: otherwise it reads all runs.';
COMMENT ON VIEW chrono_forge_stuck IS 'Runs that only a person moves on, each with its last error. Reads those alone.';
COMMENT ON VIEW chrono_forge_queue IS 'How many runs are due or wait for an instant, by queue and workflow, and for how long the oldest has been due. Reads those alone.';
COMMENT ON VIEW chrono_forge_running IS 'What live workers hold just now, and for how long. Reads that alone.';
