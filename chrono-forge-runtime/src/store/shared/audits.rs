//! Audits of branches: what rows of the auditor's table and of branches mean.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::codes::unsigned;
use crate::record::{AuditClaim, BranchSample, BranchState, ChildCount, RecordId, Recount, RunId};
use crate::store::AuditWork;

/// What there is to do; `open` are branches with unfinished children, each with whether its audits have yet to begin.
pub(in crate::store) fn work(
    open: &[(i64, bool)],
    limit: u32,
    (next_at, last_at): (Option<Timestamp>, Option<Timestamp>),
) -> AuditWork {
    let is_full = open.len() as u64 == u64::from(limit);
    let last = open.last().filter(|_| is_full);
    let new = open.iter().filter(|(_, is_new)| *is_new);
    AuditWork {
        unaudited: new.map(|(id, _)| RecordId(*id)).collect(),
        resume_after: last.map_or(RecordId(0), |(id, _)| RecordId(*id)),
        next_at,
        last_at,
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

/// Adds it to what the branch's own row tells, unless the branch is over: the next audit, perhaps
/// of a worker that is not there yet, forgets what the last one found.
pub(in crate::store) fn note(state: &mut BranchState, audited: Option<Audited>) {
    let is_over = state.sealed && state.pending == 0;
    if let Some(audited) = audited.filter(|_| !is_over) {
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

/// What was done about the parents of branches that are over.
#[derive(Debug, Default)]
pub(in crate::store) struct Parents {
    /// They are due now.
    pub(in crate::store) woken: Vec<RunId>,
    /// Branches whose parent runs and has not recorded its merge: looked at again.
    pub(in crate::store) at_work: BTreeSet<RecordId>,
}

/// Branches that are over, by parent, and which of the parents may be stranded.
pub(in crate::store) struct Over {
    branches: BTreeMap<i64, Vec<RecordId>>,
    idle: Vec<i64>,
    at_work: BTreeSet<RecordId>,
}

impl Over {
    /// From branches with their parents.
    pub(in crate::store) fn of(rows: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut branches: BTreeMap<i64, Vec<RecordId>> = BTreeMap::new();
        for (branch, run) in rows {
            branches.entry(run).or_default().push(RecordId(branch));
        }
        Self {
            branches,
            idle: Vec::new(),
            at_work: BTreeSet::new(),
        }
    }

    pub(in crate::store) fn parents(&self) -> impl Iterator<Item = i64> {
        self.branches.keys().copied()
    }

    /// This parent has a merge to record and nothing that it waits for: one that is idle has missed its wake-up, one
    /// that runs is about to look.
    pub(in crate::store) fn stranded(&mut self, run: i64, state: i64) {
        match state {
            0 => self.idle.push(run),
            _ => self
                .at_work
                .extend(self.branches.remove(&run).unwrap_or_default()),
        }
    }

    /// Parents to wake.
    pub(in crate::store) fn idle(&self) -> &[i64] {
        &self.idle
    }

    pub(in crate::store) fn settled(self, woken: impl IntoIterator<Item = RunId>) -> Parents {
        Parents {
            woken: woken.into_iter().collect(),
            at_work: self.at_work,
        }
    }
}
