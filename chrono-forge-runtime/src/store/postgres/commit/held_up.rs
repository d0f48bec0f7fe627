//! Which plans of a batch need a row that somebody else has locked: asked once the batch has waited too long, so
//! that the others go on without them. Nothing is waited for here, and the locks go with the transaction.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::counted;
use super::counters::FREE;
use crate::record::Plan;
use crate::store::postgres::bind::ints;
use crate::store::postgres::statement::Stmt;

pub(super) const BRANCHES: &str = "
SELECT id FROM chrono_forge_execution_logs WHERE id = ANY(?) ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED";

/// The runs whose branches these are.
pub(super) const ABOVE: &str = "
SELECT id, workflow_id FROM chrono_forge_execution_logs WHERE id = ANY(?)";

/// One answer per plan: its run's row, or the row of the branch that it counts down. Where none of these is locked it
/// may be the parent, which the last child wakes.
pub(in crate::store::postgres) fn held_up(
    conn: &mut PgConnection,
    plans: &[Plan],
) -> QueryResult<Vec<bool>> {
    let runs: BTreeSet<i64> = plans.iter().map(|plan| plan.fence.run.0).collect();
    let branches: BTreeSet<i64> = plans.iter().filter_map(counted).collect();
    let free_runs = free(conn, FREE, &runs)?;
    let free_branches = free(conn, BRANCHES, &branches)?;
    let held_up: Vec<bool> = plans
        .iter()
        .map(|plan| {
            let counts = counted(plan);
            !free_runs.contains(&plan.fence.run.0)
                || counts.is_some_and(|branch| !free_branches.contains(&branch))
        })
        .collect();
    if held_up.contains(&true) || branches.is_empty() {
        return Ok(held_up);
    }
    let above: Vec<(i64, i64)> =
        Stmt::<(BigInt, BigInt)>::new(ABOVE, &[ints(branches)]).load(conn)?;
    let above: BTreeMap<i64, i64> = above.into_iter().collect();
    let parents: BTreeSet<i64> = above.values().copied().collect();
    let free_parents = free(conn, FREE, &parents)?;
    let waits = |plan: &Plan| {
        let parent = counted(plan).and_then(|branch| above.get(&branch));
        parent.is_some_and(|parent| !free_parents.contains(parent))
    };
    Ok(plans.iter().map(waits).collect())
}

/// Those of these runs whose rows nobody else has locked just now.
pub(in crate::store::postgres) fn free_runs(
    conn: &mut PgConnection,
    runs: &BTreeSet<i64>,
) -> QueryResult<BTreeSet<i64>> {
    free(conn, FREE, runs)
}

fn free(
    conn: &mut PgConnection,
    sql: &'static str,
    rows: &BTreeSet<i64>,
) -> QueryResult<BTreeSet<i64>> {
    if rows.is_empty() {
        return Ok(BTreeSet::new());
    }
    let wanted = [ints(rows.iter().copied())];
    let found: Vec<(i64,)> = Stmt::<(BigInt,)>::new(sql, &wanted).load(conn)?;
    Ok(found.into_iter().map(|(id,)| id).collect())
}
