//! The list of blocked runs, kept in the commit that changes the state. Who goes on leaves it in the statement
//! that changes its row.

use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::Batch;
use crate::record::{RunEnd, RunState};
use crate::store::postgres::bind::{instants, ints, opt_ints};
use crate::store::postgres::statement::Stmt;

pub(super) const ENTER: &str = "
INSERT INTO chrono_forge_blocked (workflow_id, parent_execution_log_id, state, since)
SELECT v.run, v.parent, v.state::smallint, v.since
FROM unnest(?, ?, ?, ?) AS v (run, parent, state, since)
ON CONFLICT (workflow_id) DO UPDATE SET state = excluded.state, since = excluded.since";

impl Batch<'_> {
    /// Enters failed and stalled runs.
    pub(super) fn enter_blocked(&self, conn: &mut PgConnection) -> QueryResult<()> {
        let mut rows = Vec::new();
        for (_, plan) in self.live() {
            match &plan.end {
                Some(RunEnd::Failed { at, .. }) => rows.push((plan, RunState::Failed, *at)),
                Some(RunEnd::Stalled { at, .. }) => rows.push((plan, RunState::Stalled, *at)),
                _ => {}
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let binds = [
            ints(rows.iter().map(|(plan, ..)| plan.fence.run.0)),
            opt_ints(rows.iter().map(|(plan, ..)| plan.parent.map(|id| id.0))),
            ints(rows.iter().map(|(_, state, _)| *state as i64)),
            instants(rows.iter().map(|(.., since)| *since)),
        ];
        Stmt::<()>::new(ENTER, &binds).execute(conn).map(drop)
    }
}
