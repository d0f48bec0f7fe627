//! Children whose keys exist: ours are left alone and not counted again, others refuse their plan.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::record::Verdict;
use crate::store::shared::dispatch::{self, Branch, Owner, Owners};
use crate::store::sqlite::statement::Batch;

pub(super) const EXISTING: &str = "
SELECT w.workflow, w.key, w.parent_execution_log_id
FROM (VALUES {(?, ?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.workflow = v.column1 AND w.key = v.column2";

/// Leaves out the children that exist, and answers the plans that may not be written.
pub(super) fn leave_out(
    conn: &mut SqliteConnection,
    branches: &mut [Branch<'_>],
) -> QueryResult<Vec<(usize, Verdict)>> {
    let owners = stored(conn, branches)?;
    Ok(dispatch::leave_out(owners, branches))
}

fn stored(conn: &mut SqliteConnection, branches: &[Branch<'_>]) -> QueryResult<Owners> {
    let mut batch = Batch::new(EXISTING);
    for (_, child) in branches.iter().flat_map(|branch| &branch.children) {
        batch.push([(&child.workflow).into(), (&child.key).into()]);
    }
    let mut owners = Owners::new();
    for chunk in batch.chunks::<(Text, Text, Nullable<BigInt>)>() {
        for (workflow, key, parent) in chunk.load::<(String, String, Option<i64>)>(conn)? {
            owners.insert((workflow, key), parent.map_or(Owner::Nobody, Owner::Stored));
        }
    }
    Ok(owners)
}
