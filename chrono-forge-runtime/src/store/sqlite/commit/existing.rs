//! Children that exist already: they are left alone and not counted again.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::store::shared::dispatch::{self, Branch, Identity};
use crate::store::sqlite::statement::Batch;

pub(super) const EXISTING: &str = "
SELECT v.column1, v.column2, v.column3
FROM (VALUES {(?, ?, ?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.key = v.column3 AND w.workflow = v.column2
    AND ifnull(w.parent_execution_log_id, 0) = v.column1";

/// Leaves them out.
pub(super) fn leave_out(
    conn: &mut SqliteConnection,
    branches: &mut [Branch<'_>],
) -> QueryResult<()> {
    let mut batch = Batch::new(EXISTING);
    for branch in branches.iter() {
        // A branch that is new has no children yet.
        let Some(id) = branch.id else { continue };
        for (_, child) in &branch.children {
            batch.push([id.0.into(), (&child.workflow).into(), (&child.key).into()]);
        }
    }
    let mut existing = HashSet::new();
    for chunk in batch.chunks::<(BigInt, Text, Text)>() {
        existing.extend(chunk.load::<Identity>(conn)?);
    }
    dispatch::leave_out(existing, branches);
    Ok(())
}
