//! Children whose keys exist: ours are left alone and not counted again, others refuse their plan.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::record::Verdict;
use crate::store::postgres::bind::texts;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::dispatch::{self, Branch, Owner, Owners};

pub(super) const EXISTING: &str = "
SELECT w.workflow, w.key, w.parent_execution_log_id
FROM unnest(?, ?) AS v (workflow, key)
JOIN chrono_forge_workflows AS w ON w.workflow = v.workflow AND w.key = v.key";

/// Leaves out the children that exist, and answers the plans that may not be written.
pub(super) fn leave_out(
    conn: &mut PgConnection,
    branches: &mut [Branch<'_>],
) -> QueryResult<Vec<(usize, Verdict)>> {
    let owners = stored(conn, branches)?;
    Ok(dispatch::leave_out(owners, branches))
}

fn stored(conn: &mut PgConnection, branches: &[Branch<'_>]) -> QueryResult<Owners> {
    let children = || branches.iter().flat_map(|branch| &branch.children);
    let binds = [
        texts(children().map(|(_, child)| &*child.workflow)),
        texts(children().map(|(_, child)| &*child.key)),
    ];
    let rows: Vec<(String, String, Option<i64>)> =
        Stmt::<(Text, Text, Nullable<BigInt>)>::new(EXISTING, &binds).load(conn)?;
    let owner = |parent: Option<i64>| parent.map_or(Owner::Nobody, Owner::Stored);
    Ok(rows
        .into_iter()
        .map(|(workflow, key, parent)| ((workflow, key), owner(parent)))
        .collect())
}
