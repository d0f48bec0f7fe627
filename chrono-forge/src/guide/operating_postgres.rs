//! For whoever runs the database: what is in it, eight questions with the answer in SQL and when to
//! be woken by it, sizes, and what a deploy does.
//!
//! Every table and column says what it is (`\d+ chrono_forge_workflows`). States are small numbers
//! there; four views have them in words, workers by name and ages as intervals:
//!
//! | view | a row is | costs |
//! |---|---|---|
//! | `chrono_forge_stuck` | a run that only a person moves on, with its last error | those runs |
//! | `chrono_forge_queue` | a workflow in a queue: how many are due, since when; how many wait for an instant | runs that are due or wait for an instant |
//! | `chrono_forge_running` | what a live worker holds just now, and for how long | those runs |
//! | `chrono_forge_runs` | any run | by id: that run; by parent: its children; by workflow and key: that run, as question 6 asks; otherwise all runs |
//!
//! The words for states:
//!
//! | word | meaning | moved on by |
//! |---|---|---|
//! | `due` | ready, waits for a worker | a worker that serves its workflow and queue |
//! | `waiting` | waits for an instant: a `wait!`, a retry, a tick | the clock |
//! | `parked` | waits for children, a wake or a condition | the last of its children, or whoever wakes it |
//! | `running` | a worker has it | that worker; its death, if need be |
//! | `completed` | its body returned | nobody |
//! | `stalled` | its body ended in the error of a step that had just given up, or met a value that its build cannot read | `forge.retry` |
//! | `failed` | its body failed for good, broke a rule, or killed its workers | `forge.retry` |
//! | `canceled` | reserved: nothing sets it yet | nobody |
//!
//! On a SQLite file the views are there as well, with times as text in UTC and ages in seconds.
//! Below, `forge` stands for your schema (`chrono_forge`, unless the URL names another): `SET
//! search_path TO forge`.
//!
//! # Eight questions
//!
//! **1. Is anything stuck, and at what?** Ask every minute. Be woken when a count grows from one
//! look to the next.
//!
//! ```sql
//! SELECT workflow, state, stalled_by, error_class, left(max(error_message), 200) AS error,
//!     count(*), max(age) AS oldest
//! FROM chrono_forge_stuck GROUP BY 1, 2, 3, 4 ORDER BY count(*) DESC LIMIT 20;
//! ```
//!
//! **2. Does work pile up?** Be woken when `lag` stays above what your users bear, say a minute for
//! five minutes: more slots, another worker, or question 3.
//!
//! ```sql
//! SELECT queue, workflow, due, lag FROM chrono_forge_queue
//! WHERE due > 0 ORDER BY lag DESC LIMIT 20;
//! ```
//!
//! **3. Is there a worker for it?** A row is a workflow that a deploy left out, a queue that nobody
//! serves, or all workers are dead. Be woken by any row that is there for longer than a deploy
//! takes.
//!
//! ```sql
//! SELECT q.queue, q.workflow, q.due, q.due_since FROM chrono_forge_queue AS q
//! WHERE q.due > 0 AND NOT EXISTS (
//!     SELECT 1 FROM chrono_forge_workers AS k
//!     WHERE k.stopped_at IS NULL
//!         AND k.heartbeat_at > now() - k.lease_micros * interval '1 microsecond'
//!         AND k.queues::jsonb @> to_jsonb(q.queue) AND k.workflows::jsonb @> to_jsonb(q.workflow)
//! );
//! ```
//!
//! **4. Do the workers live?** Be woken when there is none, when one has been silent for longer
//! than its lease, or when `stuck` names something: a step that blocks its runtime.
//!
//! ```sql
//! SELECT id, name, host, pid, now() - heartbeat_at AS silent_for,
//!     lease_micros / 1000000.0 AS lease_seconds, stuck
//! FROM chrono_forge_workers WHERE stopped_at IS NULL ORDER BY heartbeat_at;
//! ```
//!
//! **5. What has been running for long?** Be woken by more than your slowest step takes.
//!
//! ```sql
//! SELECT worker, host, pid, workflow, key, age, deaths FROM chrono_forge_running
//! WHERE age > interval '10 minutes' ORDER BY age DESC LIMIT 20;
//! ```
//!
//! **6. Where is this one run?** The last condition is what the index of keys needs (longer keys
//! have another one).
//!
//! ```sql
//! SELECT * FROM chrono_forge_runs
//! WHERE workflow = 'order' AND key = 'order-17' AND octet_length(key) <= 1024;
//! ```
//!
//! Its records, by the `id` that the first query has shown:
//!
//! ```sql
//! SELECT l.step_name,
//!     CASE l.state WHEN 0 THEN 'pending' WHEN 1 THEN 'completed' ELSE 'failed' END AS state,
//!     l.attempts, l.started_at, l.wake_at, l.completed_at, l.spawned, l.pending, l.error_message
//! FROM chrono_forge_execution_logs AS l WHERE l.workflow_id = 924 ORDER BY l.id;
//! ```
//!
//! **7. Whose session is this, and who is in whose way?** A session is named by its worker and what
//! it is for (`billing-7 heartbeat`; `chrono-forge heartbeat` without
//! [`worker_name`](crate::Builder::worker_name); connections that you lend keep their name), a
//! statement begins with its intent (`/* chrono_forge claim_due */`). Be woken by a session that
//! has been idle in a transaction for longer than a lease, or by a lock that is waited for longer
//! than that.
//!
//! ```sql
//! SELECT a.pid, a.application_name, a.state, now() - a.xact_start AS age,
//!     pg_blocking_pids(a.pid) AS waits_for, left(a.query, 60) AS query
//! FROM pg_stat_activity AS a
//! WHERE a.datname = current_database() AND a.xact_start < now() - interval '5 seconds'
//! ORDER BY a.xact_start LIMIT 20;
//! ```
//!
//! With the extension `pg_stat_statements`, what the engine costs the server, by intent:
//!
//! ```sql
//! -- needs: pg_stat_statements
//! SELECT substring(query FROM 'chrono_forge (\w+)') AS intent, sum(calls) AS calls,
//!     round(sum(total_exec_time)) AS total_ms
//! FROM pg_stat_statements WHERE query LIKE '/* chrono_forge %' GROUP BY 1 ORDER BY 3 DESC;
//! ```
//!
//! **8. Does vacuum keep up?** Be woken when dead rows outnumber the live ones for an hour, or when
//! the share of HOT updates of `chrono_forge_workflows` falls below a third: then somebody has
//! added an index that names what a completion changes.
//!
//! ```sql
//! SELECT relname, n_live_tup, n_dead_tup, last_autovacuum,
//!     round(100.0 * n_tup_hot_upd / nullif(n_tup_upd, 0)) AS hot_percent,
//!     pg_size_pretty(pg_total_relation_size(relid)) AS size
//! FROM pg_stat_user_tables
//! WHERE schemaname = current_schema() AND relname LIKE 'chrono\_forge\_%'
//! ORDER BY pg_total_relation_size(relid) DESC;
//! ```
//!
//! # Sizes
//!
//! A finished child of one step takes 665 bytes for its run and 237 for its record, indexes
//! included (measured over 1,000,000, see [`scaling`](super::scaling), which also has how the fill
//! factor keeps a busy table from bloat). Payloads come on top. Autovacuum needs no setting of
//! yours.
//!
//! # What is over
//!
//! Nothing is deleted by itself: a completed run is what keeps its key from being started twice. To
//! delete what is old, delete a run together with its records, errors and context entries, which
//! nothing else would delete, and in pages. This takes the next thousand top-level runs that
//! completed more than 30 days ago and never had children; repeat it until it deletes none. From
//! then on their keys begin anew. Runs with children stay.
//!
//! ```sql
//! WITH old AS (
//!     SELECT w.id FROM chrono_forge_workflows AS w
//!     WHERE w.parent_execution_log_id IS NULL AND w.state = 2
//!         AND w.completed_at < now() - interval '30 days'
//!         AND NOT EXISTS (
//!             SELECT 1 FROM chrono_forge_execution_logs AS l
//!             WHERE l.workflow_id = w.id AND l.spawned > 0
//!         )
//!     ORDER BY w.id LIMIT 1000 FOR UPDATE SKIP LOCKED
//! ), records AS (
//!     DELETE FROM chrono_forge_execution_logs AS l USING old WHERE l.workflow_id = old.id
//! ), errors AS (
//!     DELETE FROM chrono_forge_error_logs AS e USING old WHERE e.workflow_id = old.id
//! ), entries AS (
//!     DELETE FROM chrono_forge_context AS c USING old WHERE c.workflow_id = old.id
//! )
//! DELETE FROM chrono_forge_workflows AS w USING old WHERE w.id = old.id;
//! ```
//!
//! # Deploys and locks
//!
//! A new release may bring migrations. Each is a transaction of its own that adds a table, a column
//! or a view; an index is built `CONCURRENTLY`. A change of a table waits for everybody who reads
//! it, `pg_dump` and a console that was left open among them, and everybody else would have to wait
//! behind it. So it waits 1.5 s at most (less with a lease below 10 s), steps back, warns who is in
//! the way (``pid 4711 `pg_dump` of backup uses chrono_forge_workflows since 11:02:03 UTC``), and
//! tries again once they are gone, every 10 s at the latest; workers work on meanwhile. After ten
//! minutes `open` fails and names them. Once it is done it says so: `the schema was brought up to
//! date`, with the versions.
//!
//! # Which PostgreSQL
//!
//! Tested is 15.20, as installed, and libpq 15; no other was run. Of libpq the age matters, too:
//! `sslrootcert=system` and `load_balance_hosts` want 16 (`postgres-bundled` brings 18).
