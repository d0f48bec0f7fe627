//! Branches as the auditor and operators see them: counters, counts of children, and how fast they
//! finish.

use std::time::Duration;

use jiff::Timestamp;

use super::{RecordId, RunId};

/// Where a branch of a run stands, as [`Run::branches`](crate::forge::Run::branches) and
/// [`Run::audit`](crate::forge::Run::audit) tell.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BranchState {
    /// The name that the workflow gave the branch.
    pub name: String,
    /// Whether all of its children are dispatched.
    pub sealed: bool,
    /// Children dispatched; exact.
    pub spawned: u64,
    /// Those of them that have not completed; exact. Blocked ones are among them.
    pub pending: u64,
    /// Failed, stalled and canceled children; exact. [`Run::blocked_children`] names them.
    ///
    /// [`Run::blocked_children`]: crate::forge::Run::blocked_children
    pub blocked: u64,
    /// Children that no worker had taken yet at the last audit; `None` before the first one.
    pub never_started: Option<u64>,
    /// Children completed per second before the last audit; `None` while there is nothing to measure
    /// it from.
    pub rate: Option<f64>,
    /// How long the children dispatched until the last audit need to complete at that rate; `None`
    /// without a rate or without motion.
    pub eta: Option<Duration>,
    /// The instant of the last audit, on the clock of the workflows; `None` before the first one, and
    /// again once the branch is over and its audits are forgotten.
    pub audited_at: Option<Timestamp>,
    /// How often an audit found the counter wrong and set it right.
    pub repairs: u64,
}

impl BranchState {
    /// A branch that nobody has audited.
    pub(crate) fn new(name: String, sealed: bool, spawned: u64, pending: u64) -> Self {
        Self {
            name,
            sealed,
            spawned,
            pending,
            blocked: 0,
            never_started: None,
            rate: None,
            eta: None,
            audited_at: None,
            repairs: 0,
        }
    }

    /// Adds what an audit found, at which so many children were pending.
    pub(crate) fn note_audit(
        &mut self,
        at: Timestamp,
        pending: u64,
        never_started: u64,
        rate_micros: Option<u64>,
    ) {
        self.audited_at = Some(at);
        self.never_started = Some(never_started);
        self.rate = rate_micros.map(|micros| micros as f64 / 1e6);
        self.eta = rate_micros.and_then(|micros| eta(pending, micros));
    }
}

/// The time that so many children need at this rate, in children per million seconds; `None` when
/// nothing moves.
pub(crate) fn eta(pending: u64, rate_micros: u64) -> Option<Duration> {
    let micros = (u128::from(pending) * 1_000_000_000_000).checked_div(rate_micros.into())?;
    Some(Duration::from_micros(
        u64::try_from(micros).unwrap_or(u64::MAX),
    ))
}

/// The counters of a branch row at one instant, and how far its children reached then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchCounters {
    pub sealed: bool,
    pub spawned: u64,
    pub pending: u64,
    /// The newest child; run 0 when there is none.
    pub last_child: RunId,
}

/// A number of children, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildCount {
    pub children: u64,
    /// Not completed: blocked ones keep the parent parked as those under way do.
    pub unfinished: u64,
    /// Taken by no worker yet.
    pub never_started: u64,
}

impl std::ops::AddAssign for ChildCount {
    fn add_assign(&mut self, other: Self) {
        self.children += other.children;
        self.unfinished += other.unfinished;
        self.never_started += other.never_started;
    }
}

/// The counters of a branch at one instant; two of them tell a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchSample {
    pub at: Timestamp,
    pub spawned: u64,
    pub pending: u64,
}

impl BranchSample {
    /// Children that were completed then.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.spawned.saturating_sub(self.pending)
    }
}

/// A branch whose audit this process has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditClaim {
    pub branch: RecordId,
    /// The result counts only while this is still the branch's round.
    pub round: u64,
    /// When somebody last looked.
    pub before: BranchSample,
}

/// What an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditFinding {
    pub branch: RecordId,
    pub round: u64,
    pub sample: BranchSample,
    pub never_started: u64,
    /// Children completed in a million seconds.
    pub rate_micros: Option<u64>,
    pub next_at: Timestamp,
    /// Neither the counter nor the count leaves a child to wait for, or the branch is gone.
    pub is_over: bool,
}

/// What a recount under the write lock found, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recount {
    pub run: RunId,
    pub step_name: String,
    pub sealed: bool,
    /// As it was.
    pub pending: u64,
    /// As it is now, with `count.unfinished` as its `pending`.
    pub spawned: u64,
    pub count: ChildCount,
    /// Whether the row had to be set right.
    pub repaired: bool,
    /// The branch is joined now: its parent was woken.
    pub woken: bool,
}
