//! What a store is asked with.

use std::time::Duration;

use jiff::Timestamp;

use crate::record::{Json, Level, RecordId, RetryFilter, RunId, WorkerId};

/// What one process calls out to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A run is due that another process may have room for.
    Due,
    /// A run has settled that somebody elsewhere may wait for.
    Settled(RunId),
}

impl Call {
    /// What may have been called while nobody listened.
    pub fn missed(awaited: Vec<RunId>) -> Vec<Self> {
        let settled = awaited.into_iter().map(Self::Settled);
        std::iter::once(Self::Due).chain(settled).collect()
    }
}

/// A worker as it enters.
#[derive(Clone, Copy, Debug)]
pub struct WorkerEntry<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub pid: u32,
    /// For how long it may be silent before others take it for dead.
    pub lease: Duration,
    /// The names that it serves, so that others can tell which runs nobody can execute.
    pub workflows: &'a [String],
    pub queues: &'a [String],
}

/// A top-level run to insert.
#[derive(Clone, Debug)]
pub struct Start {
    pub key: String,
    pub workflow: String,
    pub queue: String,
    pub level: Level,
    pub args: Json,
    /// Insert it already claimed by this worker.
    pub claim: Option<WorkerId>,
}

/// What a worker is ready to take.
#[derive(Debug)]
pub struct ClaimRequest<'a> {
    pub worker: WorkerId,
    pub now: Timestamp,
    /// What to take from each queue.
    pub queues: &'a [Room],
    /// Registered names, in the order to visit them.
    pub workflows: &'a [String],
    /// Visit the levels of healthy runs from the last to the first, so that a busy top level starves
    /// nobody.
    pub lowest_first: bool,
    /// Whether runs with `crashes >= quarantine_from` may be taken, within what their [`Suspects`] lets.
    pub quarantine_slot: bool,
    pub quarantine_from: u32,
    /// Of such runs, those that execute here.
    pub company: Suspects,
}

/// Which run is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunName {
    /// The only one of this workflow with this key. Children of different runs may share both.
    Key {
        workflow: String,
        key: String,
    },
    Id(RunId),
}

impl RunName {
    /// The only run of this workflow with this key.
    #[must_use]
    pub fn key(workflow: &str, key: &str) -> Self {
        Self::Key {
            workflow: workflow.to_owned(),
            key: key.to_owned(),
        }
    }
}

/// What is asked of one run from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCall {
    pub run: RunName,
    pub asks: RunAsks,
}

/// See [`RunCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAsks {
    /// Sets `wake_requested` on a running run, makes an idle one due, leaves others alone.
    Wake,
    /// Re-arms a failed or stalled run, all or nothing: idle and due, `stalled_by` null, crashes
    /// and budgets reset, its `chrono_forge_blocked` row gone. With it the failed records at the
    /// tail, or exactly those of these names (row names, or bare keys that mean one failed record):
    /// pending again without outcome, place, budget and deadline, but with their attempts and
    /// cursors.
    ///
    /// A compare-and-set on the state, so a second call finds the run idle and changes nothing. The
    /// epoch stays: nobody holds such a run, so whatever its last pass still sends is fenced by
    /// `locked_by`, and the claim that follows raises it.
    ///
    /// With other arguments: only if none of its records stays as it is.
    Retry(Rearm),
    /// Takes a running run from its worker: idle and due, epoch + 1, so that whatever the worker
    /// still sends is fenced and its next heartbeat tells that the run is lost. Counts no crash.
    /// Leaves other states than running alone.
    Unlock,
    /// Forgets the crashes of an idle or running run; settled runs are left alone.
    ResetCrashes,
}

/// What a retry re-arms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rearm {
    /// These records instead of those at the tail.
    pub records: Option<Vec<String>>,
    /// Arguments from now on.
    pub args: Option<Json>,
}

impl RunCall {
    /// What the intent is called; calls of one name share a transaction.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.asks {
            RunAsks::Wake => "wake",
            RunAsks::Retry(_) => "retry",
            RunAsks::Unlock => "unlock",
            RunAsks::ResetCrashes => "reset_crashes",
        }
    }
}

/// Room in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    pub queue: String,
    /// The most runs to take from the levels of healthy runs.
    pub healthy: u32,
    /// The most to take beside them of those that try again what failed.
    pub returning: u32,
    /// Visit only urgent levels.
    pub urgent_only: bool,
}

/// Which page of the blocked runs, and which runs of it.
#[derive(Clone, Copy, Debug)]
pub struct BlockedPage<'a> {
    pub filter: &'a RetryFilter,
    /// Only children of this branch.
    pub branch: Option<RecordId>,
    /// Runs after this one.
    pub after: RunId,
    /// Only runs that were blocked at this instant.
    pub until: Timestamp,
    /// Rows of the page.
    pub limit: u32,
}

/// Which audits to take.
#[derive(Clone, Copy, Debug)]
pub struct AuditRequest<'a> {
    pub scope: AuditScope<'a>,
    /// When others may take them, should this process die.
    pub lease_until: Timestamp,
}

/// See [`AuditRequest`](super::AuditRequest).
#[derive(Clone, Copy, Debug)]
pub enum AuditScope<'a> {
    /// Those that are due, longest first: so many, and so many children together unless the first
    /// branch alone has more.
    Due { limit: u32, children_max: u64 },
    /// These branches, due or not.
    Of(&'a [RecordId]),
}

/// When a crash means quarantine and when it means poison.
#[derive(Clone, Copy, Debug)]
pub struct CrashLimits {
    /// From this many crashes on a run is claimed in quarantine.
    pub quarantine_from: u32,
    /// This many deaths in quarantine fail it, if it executed at each of them and alone at the last.
    pub poison_at: u32,
}

/// A bound of every company, whatever the limits.
const COMPANY_LOG2_MAX: u32 = 16;

impl CrashLimits {
    /// Beside how many suspects, itself included, a run that was held by so many dead workers may execute: half as many
    /// after each death in quarantine, and alone before the last.
    #[must_use]
    pub fn company_of(self, crashes: u32) -> u32 {
        let last = self.last_of_company();
        1 << last.saturating_sub(crashes).min(COMPANY_LOG2_MAX)
    }

    /// From so many crashes on a suspect executes alone.
    #[must_use]
    pub fn last_of_company(self) -> u32 {
        let deaths = self.poison_at.saturating_sub(1);
        self.quarantine_from.saturating_add(deaths)
    }
}

/// Suspects that execute beside each other. Half of those that are left may, rounded up, so that a death halves them
/// and one that is innocent does not wait for all others; and no more than each of them may be beside.
#[derive(Clone, Copy, Debug)]
pub struct Suspects {
    /// So many execute.
    pub executing: u32,
    /// The least of what [`CrashLimits::company_of`] lets each of them.
    pub most: u32,
    pub limits: CrashLimits,
}

impl Suspects {
    /// Nobody yet.
    #[must_use]
    pub fn none(limits: CrashLimits) -> Self {
        Self {
            executing: 0,
            most: u32::MAX,
            limits,
        }
    }

    /// Whether there may be another suspect.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.executing < self.most
    }

    /// One more executes that was held by so many dead workers.
    pub fn enter(&mut self, crashes: u32) {
        self.executing += 1;
        self.most = self.most.min(self.limits.company_of(crashes));
    }

    /// Whether the next of them may enter while so many wait, itself included.
    #[must_use]
    pub fn admits(&self, crashes: u32, waiting: u32) -> bool {
        let most = self.most.min(self.limits.company_of(crashes));
        let half = (self.executing + waiting).div_ceil(2);
        self.executing < most.min(half)
    }
}
