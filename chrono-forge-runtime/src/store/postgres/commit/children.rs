//! Dispatch: children are inserted and counted, and their spawn's cursor moves, in one commit.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::branch::{self, Rows};
use super::{Batch, Trust, existing};
use crate::record::{ChildRow, Dispatch, Epoch, Nonce, RunId, WorkerId};
use crate::store::postgres::bind::{due, instants, ints, opt_ints, texts};
use crate::store::postgres::held;
use crate::store::postgres::statement::Stmt;
use crate::store::shared::arrivals::Now;
use crate::store::shared::claimed;
use crate::store::shared::dispatch::Branch;

/// Given out before the rows are written: they follow the order of dispatch, the rows that of their keys.
pub(super) const IDS: &str =
    "SELECT nextval('chrono_forge_workflows_id_seq') FROM generate_series(1, ?)";

pub(super) const INSERT: &str = "
INSERT INTO chrono_forge_workflows
    (id, workflow, key, queue, priority, args, parent_execution_log_id, created_at, updated_at,
     state, lock_epoch, locked_by, started_at, wake_at)
SELECT v.id, v.workflow, v.key, v.queue, v.priority::smallint, v.args, v.parent, v.at, v.at,
    CASE WHEN v.holder IS NULL THEN 0 ELSE 1 END,
    CASE WHEN v.holder IS NULL THEN 0 ELSE ? END,
    v.holder,
    CASE WHEN v.holder IS NOT NULL THEN v.at END,
    CASE WHEN v.holder IS NULL THEN due.at END
FROM (SELECT ?::timestamptz) AS due (at)
CROSS JOIN unnest(?, ?, ?, ?, ?, ?, ?, ?, ?) AS v
    (id, workflow, key, queue, priority, args, parent, at, holder)";

/// A child and where it belongs.
struct Row<'r, 'a> {
    id: i64,
    branch: &'r Branch<'a>,
    dispatch: &'a Dispatch,
    child: &'a ChildRow,
}

impl Row<'_, '_> {
    fn holder(&self) -> Option<i64> {
        let worker = self.branch.plan.fence.worker;
        self.child.claimed.then_some(worker.0)
    }
}

impl<'a> Batch<'a> {
    /// Writes the dispatches of all plans, but for the counters of branches that had a row.
    pub(super) fn dispatch(
        &mut self,
        conn: &mut PgConnection,
        rows: &mut Rows<'a>,
        trust: Trust,
    ) -> QueryResult<()> {
        let live = &self.live;
        rows.dispatches.retain(|branch| live[branch.place]);
        if rows.dispatches.is_empty() {
            return Ok(());
        }
        // A child that exists may be on its way to its end: whoever inserts it again waits for that
        // transaction, which waits for the branch's row to count the child. So who holds such rows
        // looks first.
        if trust == Trust::Unknown || rows.are_locked {
            existing::leave_out(conn, &mut rows.dispatches)?;
        }
        rows.created = branch::create(conn, &mut rows.dispatches)?;
        self.insert_children(conn, &rows.dispatches)
    }

    fn insert_children(
        &mut self,
        conn: &mut PgConnection,
        branches: &[Branch<'a>],
    ) -> QueryResult<()> {
        let count = branches.iter().map(|branch| branch.children.len()).sum();
        if count == 0 {
            return Ok(());
        }
        let ids = ids(conn, count)?;
        let children = branches.iter().flat_map(|branch| {
            let children = branch.children.iter();
            children.map(move |(dispatch, child)| (branch, *dispatch, *child))
        });
        let mut rows: Vec<Row<'_, 'a>> = ids
            .into_iter()
            .zip(children)
            .map(|(id, (branch, dispatch, child))| Row {
                id,
                branch,
                dispatch,
                child,
            })
            .collect();
        let epoch = Epoch::first(Nonce::draw());
        let mut claims: BTreeMap<WorkerId, Vec<RunId>> = BTreeMap::new();
        for row in &rows {
            if !row.child.claimed {
                self.applied.due = true;
                continue;
            }
            let id = RunId(row.id);
            let worker = row.branch.plan.fence.worker;
            claims.entry(worker).or_default().push(id);
            let run = claimed::child((id, epoch), row.branch.id, row.dispatch, row.child);
            self.applied.outcomes[row.branch.place].claimed.push(run);
        }
        // Two batches that insert the same keys wait for each other in one order.
        rows.sort_unstable_by_key(|row| (&*row.child.workflow, &*row.child.key));
        insert(conn, &rows, epoch, self.now)?;
        claims
            .iter()
            .try_for_each(|(worker, runs)| held::enter(conn, *worker, runs))
    }
}

fn ids(conn: &mut PgConnection, count: usize) -> QueryResult<Vec<i64>> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let ids: Vec<(i64,)> = Stmt::<(BigInt,)>::new(IDS, &[count.into()]).load(conn)?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

fn insert(
    conn: &mut PgConnection,
    rows: &[Row<'_, '_>],
    epoch: Epoch,
    now: Now,
) -> QueryResult<()> {
    let binds = [
        epoch.0.into(),
        due(now.due),
        ints(rows.iter().map(|row| row.id)),
        texts(rows.iter().map(|row| &*row.child.workflow)),
        texts(rows.iter().map(|row| &*row.child.key)),
        texts(rows.iter().map(|row| &*row.child.queue)),
        ints(rows.iter().map(|row| i64::from(row.child.level.0))),
        texts(rows.iter().map(|row| &*row.child.args)),
        opt_ints(rows.iter().map(|row| row.branch.id.map(|id| id.0))),
        instants(rows.iter().map(|row| row.dispatch.at)),
        opt_ints(rows.iter().map(Row::holder)),
    ];
    Stmt::<()>::new(INSERT, &binds).execute(conn).map(drop)
}
