//! Which run is meant: by its key, which runs of different parents may share, or by its id.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::runs;
use super::statement::Stmt;
use crate::record::{Epoch, Namesake, RunId};
use crate::store::shared::namesakes::{NamesakeRow, namesake};
use crate::store::{Found, Named, RunName};

/// Two are as ambiguous as more.
pub(super) const IDENTIFY: &str = "SELECT id, lock_epoch, state FROM chrono_forge_workflows WHERE key = ? AND workflow = ? LIMIT 2";

pub(super) const IDENTIFY_ID: &str =
    "SELECT id, lock_epoch, state FROM chrono_forge_workflows WHERE id = ?";

/// Which run this name means, and where it stands.
pub(super) fn identify(conn: &mut SqliteConnection, name: &RunName) -> QueryResult<Named> {
    type Columns = (BigInt, BigInt, BigInt);
    let rows: Vec<(i64, i64, i64)> = match name {
        RunName::Key { workflow, key } => {
            let binds = [key.into(), workflow.into()];
            Stmt::<Columns>::new(IDENTIFY, &binds).load(conn)?
        }
        RunName::Id(run) => Stmt::<Columns>::new(IDENTIFY_ID, &[run.0.into()]).load(conn)?,
    };
    let found = |(id, epoch, code)| {
        Ok(Found {
            run: RunId(id),
            epoch: Epoch(epoch),
            state: runs::state(code)?,
        })
    };
    let found: Vec<Found> = rows.into_iter().map(found).collect::<QueryResult<_>>()?;
    Ok(Named::of(&found))
}

pub(super) const NAMESAKES: &str = "
SELECT w.id, p.id, p.workflow, p.key, l.step_name
FROM chrono_forge_workflows AS w
LEFT JOIN chrono_forge_execution_logs AS l ON l.id = w.parent_execution_log_id
LEFT JOIN chrono_forge_workflows AS p ON p.id = l.workflow_id
WHERE w.key = ? AND w.workflow = ?
ORDER BY w.id LIMIT ?";

/// Runs of one workflow and key; see [`Store::namesakes`](crate::store::Store::namesakes).
pub(super) fn namesakes(
    conn: &mut SqliteConnection,
    workflow: &str,
    key: &str,
    limit: u32,
) -> QueryResult<Vec<Namesake>> {
    type Columns = (
        BigInt,
        Nullable<BigInt>,
        Nullable<Text>,
        Nullable<Text>,
        Nullable<Text>,
    );
    let binds = [key.into(), workflow.into(), limit.into()];
    let rows: Vec<NamesakeRow> = Stmt::<Columns>::new(NAMESAKES, &binds).load(conn)?;
    Ok(rows.into_iter().map(namesake).collect())
}

pub(super) const CHILD: &str = "
SELECT w.id
FROM chrono_forge_execution_logs AS l
CROSS JOIN chrono_forge_workflows AS w
    ON w.key = ? AND w.workflow = ? AND ifnull(w.parent_execution_log_id, 0) = l.id
WHERE l.workflow_id = ? AND l.step_name = ?";

/// A branch's child; see [`Store::child`](crate::store::Store::child).
pub(super) fn child(
    conn: &mut SqliteConnection,
    (run, branch): (RunId, &str),
    workflow: &str,
    key: &str,
) -> QueryResult<Option<RunId>> {
    let binds = [key.into(), workflow.into(), run.0.into(), branch.into()];
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(CHILD, &binds).load(conn)?;
    Ok(rows.first().map(|(id,)| RunId(*id)))
}
