//! Branch rows: created by the first dispatch, counting children and keeping the spawns' cursors.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde_json::value::RawValue;

use crate::record::{ChildRow, Dispatch, Plan, RecordId};
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

/// A branch that this batch dispatches to.
pub(super) struct Branch<'a> {
    /// The plan's place in the batch.
    pub(super) place: usize,
    pub(super) plan: &'a Plan,
    /// The branch's dispatches of this plan; never empty.
    dispatches: Vec<&'a Dispatch>,
    /// Known once its row exists.
    pub(super) id: Option<RecordId>,
    /// Children to insert, with the dispatch each belongs to.
    pub(super) children: Vec<(&'a Dispatch, &'a ChildRow)>,
    metadata: Option<String>,
}

/// The branches of one plan.
pub(super) fn of_plan(place: usize, plan: &Plan) -> Vec<Branch<'_>> {
    let mut branches: Vec<Branch<'_>> = Vec::new();
    for dispatch in &plan.dispatches {
        let children = dispatch.children.iter().map(|child| (dispatch, child));
        match branches
            .iter_mut()
            .find(|branch| branch.name() == &*dispatch.branch)
        {
            Some(branch) => {
                branch.dispatches.push(dispatch);
                branch.children.extend(children);
            }
            None => branches.push(Branch {
                place,
                plan,
                dispatches: vec![dispatch],
                id: None,
                children: children.collect(),
                metadata: None,
            }),
        }
    }
    branches
}

impl<'a> Branch<'a> {
    fn name(&self) -> &'a str {
        &self.dispatches[0].branch
    }

    /// The row's metadata with the cursors of this batch: `metadata.cursors.<spawn>`. Done here and
    /// not in SQL, whose JSON paths cannot spell every name and whose merge would keep parts of an
    /// old cursor.
    fn advanced(&self) -> Result<Option<String>, serde_json::Error> {
        type Raw = BTreeMap<String, Box<RawValue>>;
        let mut moves = self
            .dispatches
            .iter()
            .filter_map(|d| d.cursor.as_ref())
            .peekable();
        if moves.peek().is_none() {
            return Ok(self.metadata.clone());
        }
        let stored = self.metadata.as_deref().unwrap_or("{}");
        let mut metadata: Raw = serde_json::from_str(stored)?;
        let mut cursors: Raw = match metadata.get("cursors") {
            Some(cursors) => serde_json::from_str(cursors.get())?,
            None => Raw::new(),
        };
        for (spawn, cursor) in moves {
            cursors.insert(
                spawn.to_string(),
                RawValue::from_string(cursor.to_string())?,
            );
        }
        metadata.insert(
            "cursors".to_owned(),
            serde_json::value::to_raw_value(&cursors)?,
        );
        serde_json::to_string(&metadata).map(Some)
    }
}

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
            branch.dispatches[0].at.into(),
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
