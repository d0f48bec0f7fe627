//! The books of a pass: operations, the order of outcomes, the draft of what to write.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};
use std::time::Instant;

use jiff::Timestamp;

use super::draft::Draft;
use super::operation::{Operation, Phase};
use super::seats::Joined;
use super::spawn::Scope;
use super::unclaimed::Unclaimed;
use super::{History, OpId, Turn};
use crate::engine::report::{Ended, Fault, Tiding};
use crate::engine::slots::Reservation;
use crate::error::DefinitionError;
use crate::record::entries::Entries;
use crate::record::{ClaimedRun, Due, ErrorRow, Fence, Json, Level, Plan, RecordId, RunEnd};

/// Context entries written (or removed: `None`) by one attempt.
pub type Delta = Entries;

/// What the driver does next.
#[derive(Debug)]
pub enum Move {
    /// Poll the body: an outcome was released or an effect may start.
    Poll,
    /// Read a large recorded value, then hand it to [`Ledger::result_loaded`].
    LoadResult(OpId, RecordId),
    /// Read the rows of these branches, then hand the answer to [`Ledger::merge_checked`].
    CheckMerge(OpId, Vec<String>),
    /// Wait for a signal, at most until this workflow instant or real instant.
    Wait {
        until: Option<Timestamp>,
        real: Option<Instant>,
    },
    /// Nothing to do but wait: let go of the worker.
    Park {
        wake_at: Option<Due>,
        /// What comes first is another attempt at what failed.
        to_retry: bool,
        dropped_foreign: bool,
    },
}

/// How a delivered outcome ended, for the decision between stalled, failed and retried.
#[derive(Clone, Debug)]
pub struct LastOutcome {
    pub step_name: Arc<str>,
    pub failed: bool,
    pub attempts: u32,
    /// Of a failed one.
    pub fault: Option<Box<Fault>>,
}

/// Everything that a pass keeps track of. Times and wakers come in as arguments; nothing here
/// blocks or reads a clock.
pub struct Ledger {
    /// Boxed: operations are large, a node of the tree has room for eleven, and most passes have one.
    pub(super) ops: BTreeMap<OpId, Box<Operation>>,
    pub(super) next_op: u64,
    pub(super) reached: HashSet<Arc<str>>,
    /// Those of them that a block reached, with the names of their branches.
    pub(super) of_blocks: BTreeMap<Arc<str>, String>,
    pub(super) history: History,
    /// Recorded operations that registered, by their place in the order.
    pub(super) recorded: BTreeMap<i64, OpId>,
    pub(super) fresh: VecDeque<OpId>,
    /// Live outcomes in the order in which they came.
    pub(super) done: VecDeque<OpId>,
    pub(super) seq: i64,
    /// The place of the newest recorded outcome that the body has received again.
    pub(super) replayed: i64,
    /// Nothing recorded is left for the operations that are registered: new things may happen.
    pub(super) caught_up: bool,
    /// Something new has begun, so the body says things that it never said before.
    pub(super) beyond_history: bool,
    pub(super) draft: Draft,
    pub submitted: u64,
    pub acked: u64,
    /// The submission that carries the newest delivered outcome.
    pub(super) barrier: u64,
    pub(super) ack_waiters: Vec<Waker>,
    /// Whether what it submits passes by what other runs submitted.
    pub(super) urgent: bool,
    /// Wakers of operations that may go on. Woken by the driver once it has let go of the ledger: the
    /// waker of a step in a branch block comes back for it.
    pub(super) to_wake: Vec<Waker>,
    /// The submission that ends the run.
    pub ended: Option<u64>,
    /// Whether that submission knows of the refusal; otherwise the pipeline drops it.
    tells: bool,
    /// The run waits to try again what failed.
    pub returns: bool,
    /// When the run wants to go on after that.
    pub(super) wake_at: Option<Timestamp>,
    pub fatal: Option<Box<DefinitionError>>,
    /// A write was refused: only the run's failure is still written.
    pub(super) refused: bool,
    pub lost: bool,
    pub draining: bool,
    pub woken: bool,
    /// Gates and merges look again once this submission is durable.
    pub(super) recheck: Option<u64>,
    /// Reads of the engine's own under way: nothing is released meanwhile.
    pub(super) holds: usize,
    /// Such a read is over and the body was not polled since.
    pub(super) landed: bool,
    /// The operation whose user code this thread is polling.
    pub(super) active: Option<OpId>,
    pub(super) context: BTreeMap<String, Json>,
    pub(super) context_bytes: usize,
    /// Keys of entries that have changed since the last commit.
    pub(super) changed: BTreeSet<String>,
    /// Keys that the body itself has said again while it replays: what an earlier pass has written,
    /// as a rule.
    pub(super) said: BTreeSet<String>,
    /// Branches opened in this pass, and what became of their children.
    pub(super) branches: BTreeMap<String, Joined>,
    pub(super) scopes: BTreeMap<OpId, Scope>,
    pub(super) reservations: VecDeque<(u64, Reservation)>,
    /// Operations that the body dropped while they waited. Their rows go once it turns out that the
    /// body lives on: what goes down with a failing body is there again when it replays.
    pub(super) leaving: Vec<Operation>,
    pub last_outcome: Option<LastOutcome>,
    /// An operation registered under a waker of its own, as in `FuturesUnordered`: then a clone of
    /// the root waker says nothing about foreign futures.
    pub(super) wakes_apart: bool,
    /// Whether dropping an operation withdraws its row; not while the engine itself drops the body.
    pub(super) live: bool,
    /// The claimed row has crashes or a used budget that new progress resets.
    pub(super) resets_progress: bool,
    /// This pass recorded something new that succeeded.
    pub progressed: bool,
    /// What the clocks showed at the last decision.
    pub(super) seen: Option<(Timestamp, Instant)>,
    /// What is to be told once the lock is free.
    pub(super) tidings: Vec<Tiding>,
    /// What is to be told of the end of the pass once that is durable.
    pub ended_as: Option<Box<Ended>>,
    pub(super) unclaimed: Unclaimed,
}

impl Ledger {
    /// About what the draft carries.
    pub(super) fn drafted_bytes(&self) -> usize {
        self.draft.bytes()
    }

    pub(super) fn new(fence: Fence, run: &ClaimedRun) -> Self {
        Self {
            ops: BTreeMap::new(),
            next_op: 0,
            reached: HashSet::new(),
            of_blocks: BTreeMap::new(),
            history: History::default(),
            recorded: BTreeMap::new(),
            fresh: VecDeque::new(),
            done: VecDeque::new(),
            seq: 0,
            replayed: 0,
            caught_up: false,
            beyond_history: false,
            draft: Draft::new(Plan {
                is_first: run.fresh,
                ..Plan::new(fence, run.parent)
            }),
            submitted: 0,
            urgent: run.level.is_urgent(),
            acked: 0,
            barrier: 0,
            ack_waiters: Vec::new(),
            to_wake: Vec::new(),
            ended: None,
            tells: false,
            returns: false,
            wake_at: None,
            fatal: None,
            refused: false,
            lost: false,
            draining: false,
            woken: false,
            recheck: None,
            holds: 0,
            landed: false,
            active: None,
            context: BTreeMap::new(),
            context_bytes: 0,
            changed: BTreeSet::new(),
            said: BTreeSet::new(),
            branches: BTreeMap::new(),
            scopes: BTreeMap::new(),
            reservations: VecDeque::new(),
            leaving: Vec::new(),
            last_outcome: None,
            wakes_apart: false,
            live: true,
            progressed: false,
            seen: None,
            tidings: Vec::new(),
            ended_as: None,
            unclaimed: Unclaimed::default(),
            resets_progress: run.crashes > 0 || &*run.retry_counts != "{}",
        }
    }

    /// Takes in what earlier passes recorded; before the body's first poll.
    pub fn remember(&mut self, history: History) {
        self.seq = history.seq_last();
        self.history = history;
    }

    /// What an operation may do at this poll.
    pub(super) fn turn(&mut self, id: OpId) -> Turn {
        if self.fatal.is_some() || self.lost {
            return Turn::Pending;
        }
        let is_clear = self.barrier_is_clear();
        let Some(op) = self.ops.get_mut(&id) else {
            return Turn::Pending;
        };
        match &mut op.phase {
            Phase::Executing(execution) => {
                execution.unpolled_since = None;
                if !execution.begun && (!is_clear || execution.timed_out) {
                    // Let go at a time when the body had not seen what is not durable yet, or so long ago that
                    // its time ran out before it began: it asks anew.
                    op.phase = Phase::Fresh;
                    self.fresh.push_back(id);
                    return Turn::Pending;
                }
                execution.begun = true;
                if execution.timed_out {
                    Turn::TimedOut
                } else {
                    Turn::Execute
                }
            }
            Phase::Released(_) => match std::mem::replace(&mut op.phase, Phase::Abandoned) {
                Phase::Released(outcome) => Turn::Deliver(outcome),
                _ => Turn::Pending,
            },
            _ => Turn::Pending,
        }
    }

    /// A future of user code asked to be polled.
    pub(super) fn mark_woken(&mut self, id: OpId, now: Instant) {
        let op = self.ops.get_mut(&id);
        if let Some(Phase::Executing(execution)) = op.map(|op| &mut op.phase) {
            execution.unpolled_since.get_or_insert(now);
        }
    }

    /// Keeps the first broken rule; later ones follow from it.
    pub fn break_rule(&mut self, error: DefinitionError) {
        self.fatal.get_or_insert_with(|| Box::new(error));
    }

    /// The first broken rule, if one was broken.
    #[must_use]
    pub fn broken_rule(&self) -> Option<DefinitionError> {
        self.fatal.as_deref().cloned()
    }

    /// From now on the engine drops the body: operations that go with it stay as they are.
    pub fn detach(&mut self) {
        self.live = false;
    }

    /// Whether what is dropped is dropped by the body, and not by the engine together with it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    pub(super) fn take_draft(&mut self) -> Option<(Plan, u64)> {
        if !self.changed.is_empty() {
            self.draft.plan.context = self.changes();
        }
        let (plan, delivers) = self.draft.take()?;
        self.submitted += 1;
        if delivers {
            self.barrier = self.submitted;
        }
        if plan.end.is_some() {
            self.ended = Some(self.submitted);
        }
        Some((plan, self.submitted))
    }

    /// Adds the run's end to the draft. Of a refused run nothing else is written.
    pub fn conclude(&mut self, end: RunEnd, level: Option<Level>, errors: Vec<ErrorRow>) {
        if self.refused {
            self.drop_unconcluded();
        }
        // Records that no operation asked for (of removed steps, or inside sealed blocks) make the
        // whole pass look like a replay; what the body said at its end counts all the same.
        if self.is_replaying() && !self.refused {
            self.changed.append(&mut self.said);
        }
        if matches!(end, RunEnd::Completed { .. }) {
            self.withdraw_leaving();
        }
        self.tells = self.refused;
        self.wake_at = match &end {
            RunEnd::Parked { wake_at, .. } => wake_at.and_then(Due::instant),
            RunEnd::Retrying { wake_at, .. } => wake_at.instant(),
            _ => None,
        };
        self.draft.plan.errors.extend(errors);
        self.draft.plan.level = level;
        self.draft.plan.end = Some(end);
    }

    /// Of a run that was refused nothing is written but its failure: what was drafted before that goes.
    pub(super) fn drop_unconcluded(&mut self) {
        if self.draft.plan.end.is_none() {
            self.draft = Draft::new(Plan::new(self.draft.plan.fence, self.draft.plan.parent));
            self.changed.clear();
        }
    }

    /// The refusal that the end of this pass must tell, as far as it did not know of it: the body is
    /// gone, and what it submitted last was refused or waits behind what was.
    pub(super) fn untold_refusal(&mut self) -> Option<DefinitionError> {
        let untold = self.refused && !self.tells && self.ended.take().is_some();
        self.broken_rule().filter(|_| untold)
    }

    /// Why no other end than a failure can be written any more.
    #[must_use]
    pub fn refusal(&self) -> Option<DefinitionError> {
        self.broken_rule().filter(|_| self.refused)
    }

    /// Has this task woken by the next plan that settles.
    pub(super) fn await_ack(&mut self, cx: &TaskContext<'_>) {
        let waiters = &mut self.ack_waiters;
        // A body that something else wakes often asks as often.
        if !waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiters.push(cx.waker().clone());
        }
    }

    /// Whether every outcome that the body has seen is durable.
    pub(super) fn barrier_is_clear(&self) -> bool {
        !self.draft.delivers() && self.acked >= self.barrier
    }

    /// Room that was reserved for children of settled submissions.
    pub fn take_reservations(&mut self, through: u64) -> Vec<Reservation> {
        let settled = self
            .reservations
            .iter()
            .take_while(|(number, ..)| *number <= through)
            .count();
        self.reservations
            .drain(..settled)
            .map(|(_, reservation)| reservation)
            .collect()
    }
}
