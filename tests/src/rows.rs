//! The rows of a database as text: what two runs of the same program must agree on.
//!
//! Left out is what may differ between two undisturbed runs, or between an undisturbed and a
//! crashed one: ids, instants, epochs, crash counters, workers and their claims.

use crate::database::Look;

/// One line a run. Whether an instant is set does count, its value does not.
const RUNS: &str = "
SELECT 'run ' || w.workflow || ' ' || w.key || ' state=' || w.state || ' queue=' || w.queue
    || ' priority=' || w.priority || ' timer=' || flag(w.wake_at IS NOT NULL)
    || ' woken=' || flag(w.wake_requested) || ' held=' || flag(w.locked_by IS NOT NULL)
    || ' attempts=' || w.attempts || ' counts=' || w.retry_counts || ' options=' || w.options
    || ' stalled=' || coalesce(w.stalled_by, '-') || ' done=' || flag(w.completed_at IS NOT NULL)
    || ' parent=' || coalesce(p.key || '/' || l.step_name, '-')
    || ' args=' || w.args || ' context=' || w.context || ' output=' || coalesce(w.output, '-')
FROM chrono_forge_workflows AS w
LEFT JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
LEFT JOIN chrono_forge_workflows AS p ON p.id = l.workflow_id
ORDER BY w.workflow, w.key";

const ENTRIES: &str = "
SELECT 'entry ' || w.workflow || ' ' || w.key || ' ' || c.key || '=' || coalesce(c.value, '-')
FROM chrono_forge_context AS c JOIN chrono_forge_workflows AS w ON w.id = c.workflow_id
ORDER BY w.workflow, w.key, c.key";

const RECORDS: &str = "
SELECT 'record ' || w.key || ' ' || l.step_name || ' seq=' || coalesce(CAST(l.seq AS text), '-')
    || ' state=' || l.state || ' attempts=' || l.attempts || ' timer=' || flag(l.wake_at IS NOT NULL)
    || ' spawned=' || l.spawned || ' pending=' || l.pending
    || ' error=' || coalesce(l.error_class || ': ' || l.error_message, '-')
    || ' metadata=' || CASE
        WHEN field(l.metadata, 'timeout_at') IS NULL OR field(l.metadata, 'scheduled_for') IS NOT NULL
            THEN coalesce(l.metadata, '-')
        ELSE 'deadline' END
    || ' delta=' || coalesce(l.context_delta, '-') || ' result=' || coalesce(l.result, '-')
FROM chrono_forge_execution_logs AS l
JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
ORDER BY w.key, l.step_name";

const ERRORS: &str = "
SELECT 'error ' || w.key || ' ' || coalesce(e.step_name, '-') || ' attempt=' || e.attempt
    || ' ' || e.error_class || ': ' || e.error_message || ' context=' || coalesce(e.context, '-')
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
        WHERE l.seq IS NOT NULL GROUP BY l.workflow_id, w.key, l.seq HAVING count(*) > 1",
    ),
];

/// Every row that counts, a line each.
///
/// # Panics
/// When the database cannot be read.
#[must_use]
pub fn dump(look: &Look) -> Vec<String> {
    [RUNS, ENTRIES, RECORDS, ERRORS, BLOCKED]
        .iter()
        .flat_map(|sql| look.texts(sql, &[]))
        .collect()
}

/// What is broken in itself; empty when all is well.
///
/// # Panics
/// When the database cannot be read.
#[must_use]
pub fn broken(look: &Look) -> Vec<String> {
    BROKEN
        .iter()
        .flat_map(|(what, sql)| {
            look.texts(sql, &[])
                .into_iter()
                .map(move |row| format!("{what}: {row}"))
        })
        .collect()
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
