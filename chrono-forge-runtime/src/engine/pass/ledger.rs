//! The books of a pass: operations, the order of outcomes, the draft of what to write.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use jiff::Timestamp;

use super::draft::Draft;
use super::entries::delta_of_text;
use super::history::pending_again;
use super::operation::{Operation, Phase};
use super::repeat::{has_ticked, left_behind, tick_row};
use super::spawn::Scope;
use super::{History, Kind, OpId, Place, Turn};
use crate::engine::slots::Reservation;
use crate::error::DefinitionError;
use crate::record::{
    ClaimedRun, Due, ErrorRow, Fence, Json, Level, Notes, Plan, Record, RecordId, RecordState,
    RunEnd, Withdrawal,
};

/// Context entries written (or removed: `None`) by one attempt.
pub type Delta = BTreeMap<String, Option<Json>>;

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
}

/// Everything that a pass keeps track of. Times and wakers come in as arguments; nothing here
/// blocks or reads a clock.
pub struct Ledger {
    /// Boxed: operations are large, a node of the tree has room for eleven, and most passes have one.
    pub(super) ops: BTreeMap<OpId, Box<Operation>>,
    next_op: u64,
    pub(super) reached: HashSet<Arc<str>>,
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
    pub fatal: Option<DefinitionError>,
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
    pub(super) context_stale: bool,
    /// The body itself wrote to the context in this pass.
    pub(super) body_wrote: bool,
    /// Branches opened in this pass and whether they were merged.
    pub(super) branches: BTreeMap<String, bool>,
    pub(super) scopes: HashMap<OpId, Scope>,
    pub(super) reservations: VecDeque<(u64, Reservation)>,
    /// Operations that the body dropped while they waited. Their rows go once it turns out that the
    /// body lives on: what goes down with a failing body is there again when it replays.
    leaving: Vec<Operation>,
    pub last_outcome: Option<LastOutcome>,
    /// An operation registered under a waker of its own, as in `FuturesUnordered`: then a clone of
    /// the root waker says nothing about foreign futures.
    pub(super) wakes_apart: bool,
    /// Whether dropping an operation withdraws its row; not while the engine itself drops the body.
    live: bool,
    /// The claimed row has crashes or a used budget that new progress resets.
    pub(super) resets_progress: bool,
    /// This pass recorded something new that succeeded.
    pub progressed: bool,
    /// What the clocks showed at the last decision.
    pub(super) seen: Option<(Timestamp, Instant)>,
}

impl Ledger {
    pub(super) fn new(fence: Fence, run: &ClaimedRun) -> Self {
        Self {
            ops: BTreeMap::new(),
            next_op: 0,
            reached: HashSet::new(),
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
            context_stale: false,
            body_wrote: false,
            branches: BTreeMap::new(),
            scopes: HashMap::new(),
            reservations: VecDeque::new(),
            leaving: Vec::new(),
            last_outcome: None,
            wakes_apart: false,
            live: true,
            progressed: false,
            seen: None,
            resets_progress: run.crashes > 0 || &*run.retry_counts != "{}",
        }
    }

    /// Takes in what earlier passes recorded; before the body's first poll.
    pub fn remember(&mut self, history: History) {
        self.seq = history.seq_last();
        self.history = history;
    }

    /// An operation's first poll: it never completes here, so that outcomes have one order.
    pub(super) fn register(&mut self, place: Place, kind: Kind) -> Result<OpId, DefinitionError> {
        place.check_key()?;
        self.check_surroundings(&place, &kind)?;
        let step_name = place.step_name();
        if !self.reached.insert(Arc::clone(&step_name)) {
            return Err(DefinitionError::DuplicateKey {
                place: place.to_string(),
            });
        }
        let id = OpId(self.next_op);
        self.next_op += 1;
        if matches!(kind, Kind::Branch) {
            self.branches.insert(place.key.clone(), false);
        }
        let (phase, mut record) = self.recall(id, &step_name);
        if matches!(phase, Phase::Fresh) {
            self.fresh.push_back(id);
        }
        let kept = match (&kind, &record) {
            (Kind::Repeat(_), Some(record)) => delta_of_text(record.context_delta.as_deref()),
            _ => Delta::new(),
        };
        let found = record.as_mut().and_then(|record| record.metadata.take());
        let operation = Operation {
            notes: Notes::of_text(found.as_deref()),
            found,
            place,
            step_name,
            kind,
            phase,
            record,
            waker: None,
            context: Delta::new(),
            tick: None,
            kept,
            // Only a branch block may have operations inside.
            within: self.active,
        };
        self.ops.insert(id, Box::new(operation));
        self.note_inner(id);
        Ok(id)
    }

    fn recall(&mut self, id: OpId, step_name: &str) -> (Phase, Option<Record>) {
        let Some(row) = self.history.take(step_name) else {
            return (Phase::Fresh, None);
        };
        match (row.state, row.seq) {
            (RecordState::Pending, _) => (Phase::Fresh, Some(pending_again(*row))),
            (_, Some(seq)) => {
                self.recorded.insert(seq, id);
                (Phase::Recorded(row), None)
            }
            // Written by a build that gave no place to what the body had dropped: it comes last.
            (_, None) => {
                self.seq += 1;
                self.recorded.insert(self.seq, id);
                (Phase::Recorded(row), None)
            }
        }
    }

    fn check_surroundings(&self, place: &Place, kind: &Kind) -> Result<(), DefinitionError> {
        let Some(active) = self.active.and_then(|op| self.ops.get(&op)) else {
            return Ok(());
        };
        let (inside, remedy) = match (&active.kind, kind) {
            (Kind::Branch, Kind::Step { .. }) => return Ok(()),
            (Kind::Branch, _) => (
                "a branch block",
                "a branch block only dispatches; put it into the workflow before or after, or into a child workflow",
            ),
            _ => (
                "a step body",
                "a step is one effect; make it a step of its own, before or after",
            ),
        };
        Err(DefinitionError::NotHere {
            place: place.to_string(),
            inside: format!("{inside} ({})", active.place),
            remedy,
        })
    }

    /// What an operation may do at this poll.
    pub(super) fn turn(&mut self, id: OpId) -> Turn {
        if self.fatal.is_some() || self.lost {
            return Turn::Pending;
        }
        let Some(op) = self.ops.get_mut(&id) else {
            return Turn::Pending;
        };
        match &mut op.phase {
            Phase::Executing(execution) => {
                execution.unpolled_since = None;
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

    /// The body dropped an operation.
    pub(super) fn dropped(&mut self, id: OpId) {
        let Some(op) = self.ops.remove(&id) else {
            return;
        };
        self.scopes.remove(&id);
        if !self.live || self.fatal.is_some() || self.lost {
            return;
        }
        self.keep_inner_pending(&op);
        match op.phase {
            // The next attempt of its block does it again.
            Phase::Done(_) if op.within.is_some() => self.done.retain(|done| *done != id),
            // It finished, and the body went on without it. Its place comes after everything that the
            // body has seen, so a replay drops it again before its turn; only a body that takes another
            // way, as after a retry, receives it.
            Phase::Done(mut live) => {
                self.done.retain(|done| *done != id);
                self.context_stale |=
                    matches!(op.kind, Kind::Repeat(_)) && !live.context.is_empty();
                self.seq += 1;
                live.record.seq = Some(self.seq);
                self.draft.record(live.record);
                self.draft.plan.errors.extend(live.errors);
            }
            Phase::Recorded(_) => self.recorded.retain(|_, recorded| *recorded != id),
            Phase::Released(_) | Phase::Abandoned => {}
            Phase::Fresh | Phase::Executing(_) | Phase::Parked { .. } | Phase::Checking => {
                self.fresh.retain(|fresh| *fresh != id);
                self.leaving.push(*op);
            }
        }
    }

    /// Deletes the rows of dropped operations that only waited. The row of a step tells of attempts,
    /// that of a branch has children.
    pub(super) fn withdraw_leaving(&mut self) {
        for op in self.leaving.drain(..) {
            if op.record.is_none() || matches!(op.kind, Kind::Step { .. } | Kind::Branch) {
                continue;
            }
            // The context that operators see had it, and the body will not.
            self.context_stale |= !op.kept.is_empty();
            if let Some(step_name) = tick_row(&op) {
                self.draft.withdraw(Withdrawal { step_name });
            }
            if has_ticked(&op) {
                self.draft.record(left_behind(op));
                continue;
            }
            let step_name = op.step_name;
            self.draft.withdraw(Withdrawal { step_name });
        }
    }

    /// Keeps the first broken rule; later ones follow from it.
    pub fn break_rule(&mut self, error: DefinitionError) {
        self.fatal.get_or_insert(error);
    }

    /// From now on the engine drops the body: operations that go with it stay as they are.
    pub fn detach(&mut self) {
        self.live = false;
    }

    /// Branches that were opened and never merged.
    #[must_use]
    pub fn unmerged(&self) -> Vec<&str> {
        self.branches
            .iter()
            .filter(|(_, merged)| !**merged)
            .map(|(name, _)| &**name)
            .collect()
    }

    pub(super) fn take_draft(&mut self) -> Option<(Plan, u64)> {
        if std::mem::take(&mut self.context_stale) {
            self.draft.plan.context = Some(self.context_json());
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
            self.draft = Draft::new(Plan::new(self.draft.plan.fence, self.draft.plan.parent));
            self.context_stale = false;
        }
        // Records that no operation asked for (of removed steps, or inside sealed blocks) make the
        // whole pass look like a replay; what the body said at its end counts all the same.
        self.context_stale |= self.body_wrote && self.is_replaying() && !self.refused;
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

    /// The refusal that the end of this pass must tell, as far as it did not know of it: the body is
    /// gone, and what it submitted last was refused or waits behind what was.
    pub(super) fn untold_refusal(&mut self) -> Option<DefinitionError> {
        let untold = self.refused && !self.tells && self.ended.take().is_some();
        self.fatal.clone().filter(|_| untold)
    }

    /// Why no other end than a failure can be written any more.
    #[must_use]
    pub fn refusal(&self) -> Option<DefinitionError> {
        self.fatal.clone().filter(|_| self.refused)
    }

    /// Whether a submission is settled.
    #[must_use]
    pub fn is_acked(&self, number: u64) -> bool {
        self.acked >= number
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
