//! Which children keep a run parked, for operators.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz};

use crate::record::{BlockedChild, RecordId, RunId};
use crate::store::postgres::bind::{Bind, instant};
use crate::store::postgres::runs::{newest_error, state};
use crate::store::postgres::statement::Stmt;

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

/// A run has few branches. Within each its blocked children are a range of the index in their order, of which no
/// more is read than is answered. (As one value of the branch the planner would not need the index for the order, and
/// might walk all that is blocked.)
pub(in crate::store::postgres) const BLOCKED_CHILDREN: &str = concat!(
    blocked_child!(),
    "
FROM chrono_forge_execution_logs AS l
CROSS JOIN LATERAL (
    SELECT c.workflow_id, c.state, c.since FROM chrono_forge_blocked AS c
    WHERE c.parent_execution_log_id >= l.id AND c.parent_execution_log_id <= l.id
    ORDER BY c.parent_execution_log_id, c.workflow_id LIMIT ?
) AS b
JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id",
    newest_error!("true"),
    "
WHERE l.workflow_id = ? AND l.step_name >= 'branch$' AND l.step_name < 'branch%'
ORDER BY l.step_name, b.workflow_id
LIMIT ?"
);

pub(super) const BLOCKED_RUN: &str = concat!(
    blocked_child!(),
    "
FROM chrono_forge_blocked AS b
JOIN chrono_forge_workflows AS w ON w.id = b.workflow_id
JOIN chrono_forge_execution_logs AS l ON l.id = b.parent_execution_log_id",
    newest_error!("true"),
    "
WHERE b.workflow_id = ?"
);

pub(super) const BRANCHES_OF: &str = "
SELECT l.id FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? AND l.step_name >= 'branch$' AND l.step_name < 'branch%'";

type Columns = (
    (BigInt, Text, Text, Text, SmallInt, Timestamptz),
    (Nullable<Text>, Nullable<Text>, Nullable<Text>),
);

type Row = (
    (i64, String, String, String, i16, PgTimestamp),
    (Option<String>, Option<String>, Option<String>),
);

/// Blocked children; see [`Store::blocked_children`](crate::store::Store::blocked_children).
pub(in crate::store::postgres) fn blocked_children(
    conn: &mut PgConnection,
    run: RunId,
    limit: u32,
) -> QueryResult<Vec<BlockedChild>> {
    let binds = [limit.into(), run.0.into(), limit.into()];
    load(conn, BLOCKED_CHILDREN, &binds)
}

/// One blocked child.
pub(in crate::store::postgres) fn blocked_run(
    conn: &mut PgConnection,
    run: RunId,
) -> QueryResult<Option<BlockedChild>> {
    let found = load(conn, BLOCKED_RUN, &[run.0.into()])?;
    Ok(found.into_iter().next())
}

/// What a statement that begins with the columns of a blocked child answers.
pub(super) fn load(
    conn: &mut PgConnection,
    sql: &'static str,
    binds: &[Bind<'_>],
) -> QueryResult<Vec<BlockedChild>> {
    let rows: Vec<Row> = Stmt::<Columns>::new(sql, binds).load(conn)?;
    let child = |row: Row| {
        let (id, branch, key, workflow, code, since) = row.0;
        let (stalled_by, class, message) = row.1;
        Ok(BlockedChild {
            id,
            branch,
            key,
            workflow,
            state: state(code)?,
            since: instant(since),
            stalled_by,
            last_error: class.zip(message),
        })
    };
    rows.into_iter().map(child).collect()
}

/// Branches of a run; see [`Store::branches_of`](crate::store::Store::branches_of).
pub(in crate::store::postgres) fn branches_of(
    conn: &mut PgConnection,
    run: RunId,
) -> QueryResult<Vec<RecordId>> {
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(BRANCHES_OF, &[run.0.into()]).load(conn)?;
    Ok(rows.into_iter().map(|(id,)| RecordId(id)).collect())
}
