//! Children whose keys exist: ours are left alone and not counted again, others refuse their plan.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::branch::Branch;
use crate::record::{ChildRow, Verdict};
use crate::store::sqlite::statement::Batch;

pub(super) const EXISTING: &str = "
SELECT w.workflow, w.key, w.parent_execution_log_id
FROM (VALUES {(?, ?)}) AS v
CROSS JOIN chrono_forge_workflows AS w ON w.workflow = v.column1 AND w.key = v.column2";

/// Whose a key is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A row that this branch row spawned.
    Stored(i64),
    /// A row that no branch spawned.
    Nobody,
    /// The branch at this place of the list dispatches it in this batch.
    Batch(usize),
}

type Owners = HashMap<(String, String), Owner>;

/// Leaves out the children that exist, and answers the plans that may not be written.
pub(super) fn leave_out(
    conn: &mut SqliteConnection,
    branches: &mut [Branch<'_>],
) -> QueryResult<Vec<(usize, Verdict)>> {
    let mut owners = stored(conn, branches)?;
    let mut refused = Vec::new();
    for (nth, branch) in branches.iter_mut().enumerate() {
        let mut foreign = None;
        let id = branch.id;
        branch.children.retain(|(_, child)| {
            match owners.entry((child.workflow.to_string(), child.key.clone())) {
                Entry::Vacant(key) => {
                    key.insert(Owner::Batch(nth));
                    return true;
                }
                Entry::Occupied(owner) => {
                    let ours = match owner.get() {
                        Owner::Stored(parent) => id.is_some_and(|id| id.0 == *parent),
                        Owner::Nobody => false,
                        Owner::Batch(other) => *other == nth,
                    };
                    if !ours {
                        foreign.get_or_insert_with(|| refusal(child));
                    }
                }
            }
            false
        });
        refused.extend(foreign.map(|verdict| (branch.place, verdict)));
    }
    Ok(refused)
}

fn refusal(child: &ChildRow) -> Verdict {
    Verdict::ForeignChild {
        key: child.key.clone(),
        workflow: child.workflow.to_string(),
    }
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
