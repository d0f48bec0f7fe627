//! The rows of a database as text: what two runs of the same program must agree on.
//!
//! Left out is what may differ between two undisturbed runs, or between an undisturbed and a
//! crashed one: ids, instants, epochs, crash counters, workers and their claims.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

/// One line a run. Whether an instant is set does count, its value does not.
const RUNS: &str = "
SELECT 'run ' || w.workflow || ' ' || w.key || ' state=' || w.state || ' queue=' || w.queue
    || ' priority=' || w.priority || ' timer=' || (w.wake_at IS NOT NULL)
    || ' woken=' || w.wake_requested || ' held=' || (w.locked_by IS NOT NULL)
    || ' attempts=' || w.attempts || ' counts=' || w.retry_counts || ' options=' || w.options
    || ' stalled=' || ifnull(w.stalled_by, '-') || ' done=' || (w.completed_at IS NOT NULL)
    || ' parent=' || ifnull(p.key || '/' || l.step_name, '-')
    || ' args=' || w.args || ' context=' || w.context || ' output=' || ifnull(w.output, '-')
FROM chrono_forge_workflows AS w
LEFT JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
LEFT JOIN chrono_forge_workflows AS p ON p.id = l.workflow_id
ORDER BY w.workflow, w.key";

const RECORDS: &str = "
SELECT 'record ' || w.key || ' ' || l.step_name || ' seq=' || ifnull(l.seq, '-')
    || ' state=' || l.state || ' attempts=' || l.attempts || ' timer=' || (l.wake_at IS NOT NULL)
    || ' spawned=' || l.spawned || ' pending=' || l.pending
    || ' error=' || ifnull(l.error_class || ': ' || l.error_message, '-')
    || ' metadata=' || CASE
        WHEN l.metadata -> '$.timeout_at' IS NULL OR l.metadata -> '$.scheduled_for' IS NOT NULL
            THEN ifnull(l.metadata, '-')
        ELSE 'deadline' END
    || ' delta=' || ifnull(l.context_delta, '-') || ' result=' || ifnull(l.result, '-')
FROM chrono_forge_execution_logs AS l
JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
ORDER BY w.key, l.step_name";

const ERRORS: &str = "
SELECT 'error ' || w.key || ' ' || ifnull(e.step_name, '-') || ' attempt=' || e.attempt
    || ' ' || e.error_class || ': ' || e.error_message || ' context=' || ifnull(e.context, '-')
FROM chrono_forge_error_logs AS e
JOIN chrono_forge_workflows AS w ON w.id = e.workflow_id
ORDER BY w.key, e.step_name, e.attempt";

const BLOCKED: &str = "
SELECT 'blocked ' || w.key || ' state=' || b.state
FROM chrono_forge_blocked AS b JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id
ORDER BY w.key";

/// Rows that point at nothing, and counters that do not add up: never right, whatever happened.
const BROKEN: [(&str, &str); 4] = [
    (
        "a child whose branch row is gone",
        "SELECT w.key FROM chrono_forge_workflows AS w
        WHERE w.parent_execution_log_id IS NOT NULL AND NOT EXISTS
            (SELECT 1 FROM chrono_forge_execution_logs AS l WHERE l.id = w.parent_execution_log_id)",
    ),
    (
        "a branch whose counter is not the number of its children",
        "SELECT l.step_name || ': ' || l.spawned FROM chrono_forge_execution_logs AS l
        WHERE l.spawned <> (SELECT count(*) FROM chrono_forge_workflows AS w
            WHERE w.parent_execution_log_id = l.id)",
    ),
    (
        "a branch whose counter is not the number of its unfinished children",
        "SELECT l.step_name || ': ' || l.pending FROM chrono_forge_execution_logs AS l
        WHERE l.pending <> (SELECT count(*) FROM chrono_forge_workflows AS w
            WHERE w.parent_execution_log_id = l.id AND w.state <> 2)",
    ),
    (
        "two outcomes in one place of a run's order",
        "SELECT w.key || ' seq ' || l.seq FROM chrono_forge_execution_logs AS l
        JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
        WHERE l.seq IS NOT NULL GROUP BY l.workflow_id, l.seq HAVING count(*) > 1",
    ),
];

/// A connection that only looks.
///
/// # Panics
/// When the file cannot be opened.
#[must_use]
pub fn look(db: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(db, flags)
        .unwrap_or_else(|error| panic!("{}: {error}", db.display()));
    let patience = std::time::Duration::from_secs(10);
    connection.busy_timeout(patience).expect("a timeout is set");
    connection
}

/// Every row that counts, a line each.
///
/// # Panics
/// When the database cannot be read.
#[must_use]
pub fn dump(connection: &Connection) -> Vec<String> {
    [RUNS, RECORDS, ERRORS, BLOCKED]
        .iter()
        .flat_map(|sql| texts(connection, sql))
        .collect()
}

/// What is broken in itself; empty when all is well.
///
/// # Panics
/// When the database cannot be read.
#[must_use]
pub fn broken(connection: &Connection) -> Vec<String> {
    BROKEN
        .iter()
        .flat_map(|(what, sql)| {
            texts(connection, sql)
                .into_iter()
                .map(move |row| format!("{what}: {row}"))
        })
        .collect()
}

/// The first column of every row.
///
/// # Panics
/// When the query cannot be run.
#[must_use]
pub fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let text = |row: &Row<'_>| row.get(0);
    let mut statement = connection.prepare(sql).expect("the query is valid");
    let rows = statement.query_map([], text).expect("the query runs");
    rows.map(|row| row.expect("a row of text")).collect()
}

/// The one number that a query answers.
///
/// # Panics
/// When the query cannot be run.
#[must_use]
pub fn number(connection: &Connection, sql: &str) -> i64 {
    let mut statement = connection.prepare(sql).expect("the query is valid");
    statement
        .query_row([], |row| row.get(0))
        .expect("the query answers a number")
}

/// Fails with the lines that only one side has.
///
/// # Panics
/// When the two differ.
pub fn assert_same(what: &str, expected: &[String], found: &[String]) {
    let missing = expected.iter().filter(|line| !found.contains(line));
    let surplus = found.iter().filter(|line| !expected.contains(line));
    let differences: Vec<String> = missing
        .map(|line| format!("- {line}"))
        .chain(surplus.map(|line| format!("+ {line}")))
        .collect();
    assert!(
        differences.is_empty(),
        "{what}: rows differ from the undisturbed run\n{}",
        differences.join("\n")
    );
}
