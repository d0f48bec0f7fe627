//! What a store answers.

use std::time::Duration;

use jiff::Timestamp;

use crate::record::{
    ChildCount, ClaimedRun, Due, Epoch, PlanOutcome, RecordId, RunId, RunState, Unserved, WorkerId,
};

/// What [`Writer::apply`](super::Writer::apply) did beside the plans' own rows.
#[derive(Debug, Default)]
pub struct Applied {
    /// One per plan, in order.
    pub outcomes: Vec<PlanOutcome>,
    /// Runs whose last child finished: due now, or `wake_requested` while they run.
    pub parents_woken: Vec<RunId>,
    /// Whether an idle run became due at once: a scheduler may look.
    pub due: bool,
}

/// What became of one [`Start`](super::Start).
#[derive(Debug)]
pub enum Started {
    /// Inserted, idle and due.
    Inserted(RunId),
    /// Inserted and held by the worker that asked.
    Claimed(Box<ClaimedRun>),
    /// A run with this workflow and key exists.
    Existing {
        run: RunId,
        /// Its arguments are those of the start, as values.
        has_same_args: bool,
    },
}

/// What some workflows' runs in some queues are at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outlook {
    /// A worker holds one, or held it when it died and was not declared dead yet.
    pub runs: bool,
    /// When the first of the idle ones becomes due.
    pub next: Option<Due>,
}

/// What a claim took.
#[derive(Debug, Default)]
pub struct Claims {
    pub runs: Vec<ClaimedRun>,
    /// The worker was declared dead: register anew.
    pub worker_dead: bool,
}

/// Which run a wake-up met.
#[derive(Clone, Copy, Debug)]
pub struct Woken {
    pub run: RunId,
    pub state: RunState,
}

/// What a retry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rearmed {
    /// The run is due; these records, by row name, were re-armed: in the order of their places, or as
    /// they were named.
    Done { run: RunId, records: Vec<String> },
    /// The run is neither failed nor stalled; nothing was changed.
    NotRetryable(RunState),
    /// A name does not mean one failed record; nothing was changed. `failed` lists records that
    /// do, some of them when there are many.
    NoSuchRecord {
        record: String,
        problem: &'static str,
        failed: Vec<String>,
    },
    /// The run has this record beside those that would be re-armed, and so keeps its arguments; nothing was
    /// changed.
    HasRecorded { record: String },
}

/// What became of one [`RunCall`](super::RunCall): of each kind as it was found, before anything
/// was changed.
#[derive(Clone, Debug)]
pub enum RunAnswer {
    Woken(Woken),
    Retried(Rearmed),
    Unlocked(Found),
    CrashesReset(Found),
    /// There is no such run.
    Missing,
    /// Several runs have this workflow and key; nothing was changed.
    Ambiguous,
}

/// The runs that a [`RunName`](super::RunName) means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Named {
    Nobody,
    One(Found),
    Several,
}

impl Named {
    /// Those that were found; two are as good as many.
    pub(in crate::store) fn of(found: &[Found]) -> Self {
        match found {
            [] => Self::Nobody,
            [one] => Self::One(*one),
            _ => Self::Several,
        }
    }
}

/// What [`Writer::retry_blocked`](super::Writer::retry_blocked) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetriedPage {
    pub retried: u64,
    /// The last run of the page, covered or not; `None` when the page was empty.
    pub last: Option<RunId>,
}

/// A run, and the epoch and state that a call found it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub run: RunId,
    pub epoch: Epoch,
    pub state: RunState,
}

/// What [`Store::audit_work`](super::Store::audit_work) found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditWork {
    /// Branches to enter.
    pub unaudited: Vec<RecordId>,
    /// Where the next look goes on; record 0, the beginning, once the end was reached.
    pub resume_after: RecordId,
    /// When the next audit is due.
    pub next_at: Option<Timestamp>,
    /// When the last one is that is planned.
    pub last_at: Option<Timestamp>,
}

/// What one snapshot shows of a branch: its counters, its children, and how often it was repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchLook {
    pub spawned: u64,
    pub pending: u64,
    pub count: ChildCount,
    pub repairs: i64,
}

/// Due runs that no live worker can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnservedRow {
    pub workflow: String,
    pub queue: String,
    /// The earliest instant at which one of them was due.
    pub due_since: Timestamp,
    /// A live worker knows the workflow, but none of those serves the queue.
    pub is_known: bool,
    /// Whose the workflow is, if anybody has entered it.
    pub application: Option<String>,
}

impl From<UnservedRow> for Unserved {
    fn from(row: UnservedRow) -> Self {
        Self {
            workflow: row.workflow,
            queue: row.queue,
            due_since: row.due_since,
            is_known: row.is_known,
            application: row.application,
        }
    }
}

/// A run that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitedRow {
    pub id: RunId,
    pub key: String,
    pub workflow: String,
    pub queue: String,
    pub state: RunState,
    pub wake_at: Option<Due>,
}

/// A worker's row.
#[derive(Clone, Debug)]
pub struct WorkerRow {
    pub id: WorkerId,
    pub heartbeat_at: Timestamp,
    /// What it said at its registration.
    pub lease: Duration,
}

/// What a live worker said of itself when it was registered.
#[derive(Clone, Debug)]
pub struct ServingRow {
    pub id: WorkerId,
    pub name: String,
    pub host: String,
    pub pid: i64,
    pub workflows: Vec<String>,
    pub queues: Vec<String>,
}

impl ServingRow {
    /// Whether it executes runs of this workflow in this queue.
    #[must_use]
    pub fn serves(&self, workflow: &str, queue: &str) -> bool {
        let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
        has(&self.workflows, workflow) && has(&self.queues, queue)
    }
}

/// What became of a worker that no longer lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Somebody declared it dead, and recovered what it held.
    #[default]
    DeclaredDead,
    /// Its row is gone: the database was set back to an older copy, or somebody deleted it.
    Gone,
    /// Its row is that of an earlier heartbeat: the database was set back to an older copy, and may know less than
    /// memory does.
    SetBack,
    /// The process went over to another server, which may not know all that memory does.
    Moved,
    /// Its row is that of another life: the database was set back, and the id given out again.
    Replaced,
}

/// What [`Writer::heartbeat`](super::Writer::heartbeat) found.
#[derive(Debug, Default)]
pub struct Heartbeat {
    /// The worker's life is over: its passes are lost, register anew.
    pub worker_dead: bool,
    /// What became of a worker whose life is over.
    pub fate: Fate,
    pub woken: Vec<RunId>,
    /// Held runs that are no longer held under this worker and epoch.
    pub lost: Vec<(RunId, Epoch)>,
    /// Runs that the worker holds here, and memory did not know.
    pub orphans: Vec<(RunId, Epoch)>,
}

/// What [`Writer::declare_dead`](super::Writer::declare_dead) recovered.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    pub due: u64,
    /// Runs that were failed as poison.
    pub poisoned: Vec<RunId>,
}
