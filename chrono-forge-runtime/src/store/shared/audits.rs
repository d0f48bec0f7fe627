//! Audits of branches: what rows of the auditor's table and of branches mean.

use jiff::Timestamp;

use super::codes::unsigned;
use crate::record::{AuditClaim, BranchSample, BranchState, ChildCount, RecordId, Recount, RunId};
use crate::store::AuditWork;

/// What there is to do; `open` are branches with unfinished children, each with whether its audits have yet to begin.
pub(in crate::store) fn work(
    open: &[(i64, bool)],
    limit: u32,
    next_at: Option<Timestamp>,
) -> AuditWork {
    let is_full = open.len() as u64 == u64::from(limit);
    let last = open.last().filter(|_| is_full);
    let new = open.iter().filter(|(_, is_new)| *is_new);
    AuditWork {
        unaudited: new.map(|(id, _)| RecordId(*id)).collect(),
        resume_after: last.map_or(RecordId(0), |(id, _)| RecordId(*id)),
        next_at,
    }
}

/// An audit that may be taken.
pub(in crate::store) struct AuditRow {
    pub(in crate::store) branch: i64,
    pub(in crate::store) round: i64,
    pub(in crate::store) before: BranchSample,
    /// Children of the branch now; `None` when its record is gone.
    pub(in crate::store) children: Option<i64>,
}

impl AuditRow {
    pub(in crate::store) fn claimed(self) -> AuditClaim {
        AuditClaim {
            branch: RecordId(self.branch),
            round: unsigned(self.round + 1),
            before: self.before,
        }
    }
}

/// The first of them, and those behind it as long as they have so many children together.
pub(in crate::store) fn few_children(rows: Vec<AuditRow>, children_max: u64) -> Vec<AuditRow> {
    let mut children = 0;
    let fits = |row: &AuditRow| {
        let is_first = children == 0;
        children += unsigned(row.children.unwrap_or(0)).max(1);
        is_first || children <= children_max
    };
    rows.into_iter().take_while(fits).collect()
}

/// What an audit left on its row.
pub(in crate::store) struct Audited {
    pub(in crate::store) at: Timestamp,
    pub(in crate::store) pending: Option<i64>,
    pub(in crate::store) never_started: Option<i64>,
    pub(in crate::store) rate_micros: Option<i64>,
}

/// Adds it to what the branch's own row tells.
pub(in crate::store) fn note(state: &mut BranchState, audited: Option<Audited>) {
    if let Some(audited) = audited {
        state.note_audit(
            audited.at,
            unsigned(audited.pending.unwrap_or(0)),
            unsigned(audited.never_started.unwrap_or(0)),
            audited.rate_micros.map(unsigned),
        );
    }
}

/// A branch's row as a recount finds it.
pub(in crate::store) struct BranchFound {
    pub(in crate::store) run: i64,
    pub(in crate::store) step_name: String,
    pub(in crate::store) sealed: bool,
    pub(in crate::store) spawned: i64,
    pub(in crate::store) pending: i64,
}

impl BranchFound {
    /// Compares it with its children. `spawned` only ever rises: rows that were counted prove that so many were
    /// dispatched, rows that are missing prove nothing.
    pub(in crate::store) fn against(self, count: ChildCount) -> Recount {
        let (spawned, pending) = (unsigned(self.spawned), unsigned(self.pending));
        Recount {
            run: RunId(self.run),
            step_name: self.step_name,
            sealed: self.sealed,
            pending,
            spawned: spawned.max(count.children),
            count,
            repaired: count.unfinished != pending || count.children > spawned,
            woken: false,
        }
    }
}
