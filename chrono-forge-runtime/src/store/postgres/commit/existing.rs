//! Children that exist already: they are left alone and not counted again.

use std::collections::HashSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::record::ChildRow;
use crate::store::postgres::bind::{ints, texts};
use crate::store::postgres::naming::of_key;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::dispatch::{self, Branch, Identity};

pub(super) const EXISTING: &str = concat!(
    "
SELECT v.parent, v.workflow, v.key
FROM unnest(?, ?, ?) AS v (parent, workflow, key)",
    of_key!(
        "w.id",
        " AND coalesce(w.parent_execution_log_id, 0) = v.parent"
    )
);

/// Leaves them out.
pub(super) fn leave_out(conn: &mut PgConnection, branches: &mut [Branch<'_>]) -> QueryResult<()> {
    // A branch that is new has no children yet.
    let children: Vec<(i64, &ChildRow)> = branches
        .iter()
        .filter_map(|branch| Some((branch.id?, &branch.children)))
        .flat_map(|(id, children)| children.iter().map(move |(_, child)| (id.0, *child)))
        .collect();
    let mut existing = HashSet::new();
    if !children.is_empty() {
        let binds = [
            ints(children.iter().map(|(parent, _)| *parent)),
            texts(children.iter().map(|(_, child)| &*child.workflow)),
            texts(children.iter().map(|(_, child)| &*child.key)),
        ];
        let rows: Vec<Identity> = Stmt::<(BigInt, Text, Text)>::new(EXISTING, &binds).load(conn)?;
        existing.extend(rows);
    }
    dispatch::leave_out(existing, branches);
    Ok(())
}
