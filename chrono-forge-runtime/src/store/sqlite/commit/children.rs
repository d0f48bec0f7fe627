//! Dispatch: children are inserted and counted, and their spawn's cursor moves, in one commit.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::Batch;
use super::branch;
use super::existing;
use crate::record::{ChildRow, Dispatch, Epoch, Nonce, RecordId, RunId, WorkerId};
use crate::store::shared::claimed;
use crate::store::shared::dispatch::{Branch, branches_of};
use crate::store::sqlite::bind::Bind;
use crate::store::sqlite::statement::{self, sql};
use crate::store::sqlite::{held, sequence};

/// What is known about the keys of the children.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nearly always: none of them exists. If one does, the unique index says so and the batch is
    /// begun again.
    New,
    /// Some exist, and are left alone.
    Unknown,
}

// `OR FAIL`: a conflict rolls the whole batch back anyway, so SQLite need not keep what it takes to
// undo the one statement.
pub(super) const INSERT_IDLE: &str = "
INSERT OR FAIL INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, parent_execution_log_id, created_at, updated_at,
     wake_at)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)}";

sql! {
    /// Nearly every child is begun by the worker that dispatches it.
    pub(super) struct InsertClaimed = "
INSERT OR FAIL INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, parent_execution_log_id, created_at, updated_at,
     started_at, locked_by, state, lock_epoch)
VALUES {(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)}";
}

impl Batch<'_> {
    /// Writes the dispatches of all plans.
    pub(super) fn dispatch(
        &mut self,
        conn: &mut SqliteConnection,
        trust: Trust,
    ) -> QueryResult<()> {
        let mut branches: Vec<Branch<'_>> = self
            .live()
            .flat_map(|(place, plan)| branches_of(place, plan))
            .collect();
        if branches.is_empty() {
            return Ok(());
        }
        branch::read(conn, &mut branches)?;
        if trust == Trust::Unknown {
            existing::leave_out(conn, &mut branches)?;
        }
        branch::raise(conn, &mut branches)?;
        self.insert_children(conn, &branches)
    }

    fn insert_children(
        &mut self,
        conn: &mut SqliteConnection,
        branches: &[Branch<'_>],
    ) -> QueryResult<()> {
        let rows = branches.iter().map(|branch| branch.children.len()).sum();
        // Ids are given out here, so that they follow the order of dispatch and need not be read back.
        let mut ids = sequence::next_runs(conn, rows)?;
        let mut idle = statement::Batch::new(INSERT_IDLE);
        let mut claimed = statement::Batch::<12, InsertClaimed>::of(rows);
        let mut claims: BTreeMap<WorkerId, Vec<RunId>> = BTreeMap::new();
        let epoch = Epoch::first(Nonce::draw());
        for branch in branches {
            let fence = branch.plan.fence;
            for ((dispatch, child), id) in branch.children.iter().zip(&mut ids) {
                let [a, b, c, d, e, f, g, h, i] = columns(id, branch.id, dispatch, child);
                if !child.claimed {
                    idle.push([a, b, c, d, e, f, g, h, i, self.now.due.into()]);
                    self.applied.due = true;
                    continue;
                }
                let at = dispatch.at.into();
                let (worker, lock) = (fence.worker.0.into(), epoch.0.into());
                claimed.push([a, b, c, d, e, f, g, h, i, at, worker, lock]);
                claims.entry(fence.worker).or_default().push(id);
                let run = claimed::child((id, epoch), branch.id, dispatch, child);
                self.applied.outcomes[branch.place].claimed.push(run);
            }
        }
        idle.execute(conn)?;
        claimed.execute(conn)?;
        claims
            .iter()
            .try_for_each(|(worker, runs)| held::enter(conn, *worker, runs))
    }
}

/// What an idle and a claimed child have in common.
fn columns<'a>(
    id: RunId,
    parent: Option<RecordId>,
    dispatch: &Dispatch,
    child: &'a ChildRow,
) -> [Bind<'a>; 9] {
    [
        id.0.into(),
        (&child.workflow).into(),
        (&child.key).into(),
        (&child.queue).into(),
        i64::from(child.level.0).into(),
        (&child.args).into(),
        parent.map(|parent| parent.0).into(),
        dispatch.at.into(),
        dispatch.at.into(),
    ]
}
