//! Branch rows: created by the first dispatch, counting children and keeping the spawns' cursors.

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::record::RecordId;
use crate::store::shared::dispatch::Branch;
use crate::store::sqlite::statement::Batch;

pub(super) const READ: &str = "
SELECT v.column1, l.id, l.metadata
FROM (VALUES {(?, ?, ?)}) AS v
CROSS JOIN chrono_forge_execution_logs AS l
    ON l.workflow_id = v.column2 AND l.step_name = v.column3";

pub(super) const RAISE: &str = "
INSERT INTO chrono_forge_execution_logs
    (workflow_id, step_name, started_at, spawned, pending, metadata)
VALUES {(?, ?, ?, ?, ?, ?)}
ON CONFLICT (workflow_id, step_name) DO UPDATE SET
    spawned = spawned + excluded.spawned,
    pending = pending + excluded.pending,
    metadata = excluded.metadata";

/// Reads which of these branches have a row, and what it keeps.
pub(super) fn read(conn: &mut SqliteConnection, branches: &mut [Branch<'_>]) -> QueryResult<()> {
    let mut found = Vec::new();
    let mut batch = Batch::with_capacity(READ, branches.len());
    for (nth, branch) in (0_i64..).zip(&*branches) {
        batch.push([
            nth.into(),
            branch.plan.fence.run.0.into(),
            branch.name().into(),
        ]);
    }
    for chunk in batch.chunks::<(BigInt, BigInt, Nullable<Text>)>() {
        found.extend(chunk.load::<(i64, i64, Option<String>)>(conn)?);
    }
    drop(batch);
    for (nth, id, metadata) in found {
        let branch = &mut branches[nth as usize];
        branch.id = Some(RecordId(id));
        branch.metadata = metadata;
    }
    Ok(())
}

/// Creates the rows that are missing, raises the counters and stores the cursors.
pub(super) fn raise(conn: &mut SqliteConnection, branches: &mut [Branch<'_>]) -> QueryResult<()> {
    let mut batch = Batch::with_capacity(RAISE, branches.len());
    for branch in &*branches {
        let metadata = branch
            .advanced()
            .map_err(|e| Error::SerializationError(Box::new(e)))?;
        let added = branch.children.len() as i64;
        batch.push([
            branch.plan.fence.run.0.into(),
            branch.name().into(),
            branch.first().at.into(),
            added.into(),
            added.into(),
            metadata.into(),
        ]);
    }
    batch.execute(conn)?;
    drop(batch);
    if branches.iter().any(|branch| branch.id.is_none()) {
        read(conn, branches)?;
    }
    Ok(())
}
