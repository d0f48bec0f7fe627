//! The list of blocked runs, kept in the commit that changes the state.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Batch;
use crate::record::{RunEnd, RunState};
use crate::store::sqlite::statement::{self, Stmt, sql};

/// Enters failed and stalled runs.
const ENTER: &str = "
INSERT INTO chrono_forge_blocked (workflow_id, parent_execution_log_id, state, since)
VALUES {(?, ?, ?, ?)}
ON CONFLICT (workflow_id) DO UPDATE SET state = excluded.state, since = excluded.since";

pub(super) const LEAVE: &str =
    "DELETE FROM chrono_forge_blocked WHERE workflow_id IN (VALUES {(?)})";

sql! {
    struct AnyBlocked = "SELECT 1 FROM chrono_forge_blocked LIMIT 1";
}

impl Batch<'_> {
    /// Enters the runs that are blocked now and takes out those that are not any more.
    pub(super) fn keep_blocked(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let mut enter = statement::Batch::new(ENTER);
        let mut leave = statement::Batch::new(LEAVE);
        for (_, plan) in self.live() {
            let (state, since) = match &plan.end {
                None => continue,
                Some(RunEnd::Failed { at, .. }) => (RunState::Failed, at),
                Some(RunEnd::Stalled { at, .. }) => (RunState::Stalled, at),
                Some(_) => {
                    leave.push([plan.fence.run.0.into()]);
                    continue;
                }
            };
            let parent = plan.parent.map(|parent| parent.0);
            enter.push([
                plan.fence.run.0.into(),
                parent.into(),
                (state as i64).into(),
                (*since).into(),
            ]);
        }
        // Nearly always nothing is blocked: one look is cheaper than a delete for each ended run.
        if !leave.is_empty()
            && !Stmt::<(BigInt,), AnyBlocked>::of(&[])
                .load::<(i64,)>(conn)?
                .is_empty()
        {
            leave.execute(conn)?;
        }
        enter.execute(conn).map(drop)
    }
}
