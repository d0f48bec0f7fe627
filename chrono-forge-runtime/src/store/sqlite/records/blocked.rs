//! Which children keep a run parked, for operators.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::record::{BlockedChild, RecordId, RunId};
use crate::store::sqlite::bind::{Bind, instant};
use crate::store::sqlite::runs;
use crate::store::sqlite::statement::Stmt;

/// The columns of a blocked child: `l` is its branch, `b` its row in the list, `w` its run, `e` its newest
/// error.
macro_rules! blocked_child {
    () => {
        "
SELECT w.id, substr(l.step_name, 8), w.key, w.workflow, b.state, b.since, w.stalled_by,
    e.error_class, e.error_message"
    };
}
pub(super) use blocked_child;

macro_rules! newest_error {
    () => {
        "
LEFT JOIN chrono_forge_error_logs AS e ON e.id = (
    SELECT max(id) FROM chrono_forge_error_logs WHERE workflow_id = w.id
)"
    };
}
pub(super) use newest_error;

/// Index ranges from end to end, in their order, so that nothing is sorted and a limit ends it.
pub(in crate::store::sqlite) const BLOCKED_CHILDREN: &str = concat!(
    blocked_child!(),
    "
FROM chrono_forge_execution_logs AS l
CROSS JOIN chrono_forge_blocked AS b ON b.parent_execution_log_id = l.id
CROSS JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id",
    newest_error!(),
    "
WHERE l.workflow_id = ? AND l.step_name >= 'branch$' AND l.step_name < 'branch%'
ORDER BY l.step_name, b.workflow_id
LIMIT ?"
);

pub(super) const BLOCKED_RUN: &str = concat!(
    blocked_child!(),
    "
FROM chrono_forge_blocked AS b
CROSS JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id
CROSS JOIN chrono_forge_execution_logs AS l ON l.id = b.parent_execution_log_id",
    newest_error!(),
    "
WHERE b.workflow_id = ?"
);

pub(super) const BRANCHES_OF: &str = "
SELECT l.id FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? AND l.step_name >= 'branch$' AND l.step_name < 'branch%'";

type Columns = (
    (BigInt, Text, Text, Text, BigInt, BigInt),
    (Nullable<Text>, Nullable<Text>, Nullable<Text>),
);

type Row = (
    (i64, String, String, String, i64, i64),
    (Option<String>, Option<String>, Option<String>),
);

/// Blocked children; see [`Store::blocked_children`](crate::store::Store::blocked_children).
pub(in crate::store::sqlite) fn blocked_children(
    conn: &mut SqliteConnection,
    run: RunId,
    limit: u32,
) -> QueryResult<Vec<BlockedChild>> {
    load(conn, BLOCKED_CHILDREN, &[run.0.into(), limit.into()])
}

/// One blocked child.
pub(in crate::store::sqlite) fn blocked_run(
    conn: &mut SqliteConnection,
    run: RunId,
) -> QueryResult<Option<BlockedChild>> {
    let found = load(conn, BLOCKED_RUN, &[run.0.into()])?;
    Ok(found.into_iter().next())
}

/// What a statement that begins with the columns of a blocked child answers.
pub(super) fn load(
    conn: &mut SqliteConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Vec<BlockedChild>> {
    let rows: Vec<Row> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    let child = |row: Row| {
        let (id, branch, key, workflow, state, since) = row.0;
        let (stalled_by, class, message) = row.1;
        Ok(BlockedChild {
            id,
            branch,
            key,
            workflow,
            state: runs::state(state)?,
            since: instant(since),
            stalled_by,
            last_error: class.zip(message),
        })
    };
    rows.into_iter().map(child).collect()
}

/// Branches of a run; see [`Store::branches_of`](crate::store::Store::branches_of).
pub(in crate::store::sqlite) fn branches_of(
    conn: &mut SqliteConnection,
    run: RunId,
) -> QueryResult<Vec<RecordId>> {
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(BRANCHES_OF, &[run.0.into()]).load(conn)?;
    Ok(rows.into_iter().map(|(id,)| RecordId(id)).collect())
}
