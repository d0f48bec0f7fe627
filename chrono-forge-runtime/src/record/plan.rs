//! What one pass wants written: a value, decided by the engine, applied by the store.
//!
//! Every write is absolute or conditional, so that applying a plan twice equals applying it once.

use std::sync::Arc;

use jiff::Timestamp;

use super::entries::Entries;
use super::{ClaimedRun, Due, Epoch, Json, Level, RecordId, RecordState, RunId, WorkerId};

/// Who writes: a write whose fence no longer matches the run's row changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    pub run: RunId,
    pub worker: WorkerId,
    pub epoch: Epoch,
}

/// Everything that one pass submits at one durable point, under its fence.
#[derive(Clone, Debug)]
pub struct Plan {
    pub fence: Fence,
    /// The branch row that spawned this run; its `pending` falls when the run completes.
    pub parent: Option<RecordId>,
    /// Nothing was ever written for this run: none of its records exists, unless the reply to this very plan
    /// was lost.
    pub is_first: bool,
    /// Upserts by step name, in order.
    pub records: Vec<Record>,
    /// Pending rows whose operation the body dropped.
    pub withdrawals: Vec<Withdrawal>,
    pub errors: Vec<ErrorRow>,
    pub dispatches: Vec<Dispatch>,
    /// Entries of the run's context that have changed, for operators to see: a pass rebuilds its
    /// context from records.
    pub context: Entries,
    /// Clears `wake_requested`: the pass is about to look again.
    pub consumes_wake: bool,
    /// The run's new level, when it changes: below the others while it waits to try again.
    pub level: Option<Level>,
    /// Something new was recorded: sets `crashes` to 0 and `retry_counts` to `{}`. The engine sets
    /// it only when the claimed row had something to reset.
    pub progress: bool,
    /// How the pass ends; nothing of this pass may follow it.
    pub end: Option<RunEnd>,
}

impl Plan {
    /// A plan that writes nothing yet.
    #[must_use]
    pub fn new(fence: Fence, parent: Option<RecordId>) -> Self {
        Self {
            fence,
            parent,
            is_first: false,
            records: Vec::new(),
            withdrawals: Vec::new(),
            errors: Vec::new(),
            dispatches: Vec::new(),
            context: Entries::new(),
            consumes_wake: false,
            level: None,
            progress: false,
            end: None,
        }
    }

    /// Bytes of payload that this plan carries, for the batch limit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let records: usize = self.records.iter().map(Record::bytes).sum();
        let errors: usize = self.errors.iter().map(ErrorRow::bytes).sum();
        let children: usize = self
            .dispatches
            .iter()
            .flat_map(|d| &d.children)
            .map(|c| 96 + c.key.len() + c.args.len())
            .sum();
        let end = match &self.end {
            Some(RunEnd::Completed { output, .. }) => output.len(),
            _ => 0,
        };
        let entry = |(key, value): (&String, &Option<Json>)| 32 + key.len() + length(value);
        let context: usize = self.context.iter().map(entry).sum();
        128 + records + errors + children + context + end
    }
}

fn length(text: &Option<Json>) -> usize {
    text.as_ref().map_or(0, |text| text.len())
}

/// One record to upsert by (run, step name). `spawned` and `pending` of branch rows are not
/// touched by an upsert; `started_at` keeps its first value.
#[derive(Clone, Debug)]
pub struct Record {
    pub step_name: Arc<str>,
    pub state: RecordState,
    pub seq: Option<i64>,
    pub attempts: u32,
    pub result: Option<Json>,
    pub metadata: Option<Json>,
    pub context_delta: Option<Json>,
    pub error_class: Option<String>,
    pub error_message: Option<String>,
    pub started_at: Option<Timestamp>,
    pub last_executed_at: Option<Timestamp>,
    pub wake_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

impl Record {
    /// Bytes of payload.
    #[must_use]
    pub fn bytes(&self) -> usize {
        128 + length(&self.result) + length(&self.metadata) + length(&self.context_delta)
    }

    /// A pending record without anything but its name and first instant.
    #[must_use]
    pub fn pending(step_name: Arc<str>, now: Timestamp) -> Self {
        Self {
            step_name,
            state: RecordState::Pending,
            seq: None,
            attempts: 0,
            result: None,
            metadata: None,
            context_delta: None,
            error_class: None,
            error_message: None,
            started_at: Some(now),
            last_executed_at: None,
            wake_at: None,
            completed_at: None,
        }
    }
}

/// Deletes the pending record of this name; a record that is no longer pending stays.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    pub step_name: Arc<str>,
}

/// One failed attempt. Unique per run, step and attempt; the first one written stays.
#[derive(Clone, Debug)]
pub struct ErrorRow {
    /// `None` for an error of the body itself.
    pub step_name: Option<Arc<str>>,
    /// 1-based.
    pub attempt: u32,
    pub class: String,
    pub message: String,
    pub backtrace: Option<String>,
    /// Bounded snapshot of the context.
    pub context: Option<Json>,
    pub at: Timestamp,
}

impl ErrorRow {
    /// Bytes of payload.
    #[must_use]
    pub fn bytes(&self) -> usize {
        256 + self.message.len() + self.backtrace.as_ref().map_or(0, String::len)
    }
}

/// One batch of children of one branch: inserted, counted and its cursor advanced together.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// `branch$n`; its row is created pending if it is missing.
    pub branch: Arc<str>,
    /// The spawn's name and its new cursor, for `spawn_each!`.
    pub cursor: Option<(Arc<str>, Json)>,
    pub children: Vec<ChildRow>,
    pub at: Timestamp,
}

/// One child to insert. One that its branch has already under this workflow and key is left alone
/// and not counted again.
#[derive(Clone, Debug)]
pub struct ChildRow {
    pub key: String,
    pub workflow: Arc<str>,
    pub queue: Arc<str>,
    pub level: Level,
    pub args: Json,
    /// Insert it already claimed by the plan's worker.
    pub claimed: bool,
}

/// How a pass ends.
#[derive(Clone, Debug)]
pub enum RunEnd {
    /// Nothing to do but wait: idle until `wake_at`, or until woken. Due at once when a wake-up
    /// came meanwhile. `dropped_foreign` notes in `options` that the park dropped a foreign await.
    Parked {
        wake_at: Option<Due>,
        dropped_foreign: bool,
    },
    /// The body failed and will replay: idle until `wake_at`, with its attempt and budget on the row.
    Retrying {
        wake_at: Due,
        attempts: u32,
        retry_counts: Json,
    },
    /// The body returned a value.
    Completed { output: Json, at: Timestamp },
    /// Failed for good. `attempts` is the run's new count of workflow-level failures,
    /// `retry_counts` what its body has used of its budgets; `None` where no policy was asked.
    Failed {
        at: Timestamp,
        attempts: u32,
        retry_counts: Option<Json>,
    },
    /// A step gave up and its error reached the end of the body, or a stored value does not read.
    Stalled {
        /// The step's name, or what does not read.
        step_name: Arc<str>,
        /// The run's new count of failures of its own, where the error row is the run's and not a
        /// step's.
        attempts: Option<u32>,
        at: Timestamp,
    },
    /// Handed back unfinished and unharmed: idle and due at once; counts neither as crash nor attempt.
    Released { at: Timestamp },
}

/// What became of one plan of a batch.
#[derive(Debug)]
pub struct PlanOutcome {
    pub verdict: Verdict,
    /// Children that were inserted already claimed.
    pub claimed: Vec<ClaimedRun>,
}

/// Whether a plan was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Written. `woken` tells whether `wake_requested` is set on the run (after this plan).
    Applied { woken: bool },
    /// The run is no longer held under this epoch; nothing was written.
    Fenced,
    /// The database refuses this plan's bytes for good; nothing was written. Found by the commit
    /// pipeline, which bisects the batch; no store answers it.
    Refused { error: String },
}
