//! Attempts: how operations register, run user code and say what came of it.

use std::sync::Arc;
use std::task::Waker;

use jiff::Timestamp;

use super::delta;
use super::ledger::Ledger;
use super::operation::{LiveOutcome, Operation, Phase};
use super::repeat::tick_row;
use super::turn::AT_ONCE;
use super::{Failure, Kind, OpId, Pass, Place, Turn};
use crate::clock::{after, ceil_to_micros};
use crate::engine::panics;
use crate::engine::report::{Fault, Tiding, is_heard};
use crate::record::{ErrorRow, Json, Record, RecordState, RetryCounts, Withdrawal};
use crate::retry::{Decision, Tries};

impl Pass {
    /// First poll of an operation. `None` when a rule is broken: it then stays pending for ever.
    pub fn register(&self, place: Place, kind: Kind, waker: &Waker) -> Option<OpId> {
        let mut ledger = self.ledger();
        match ledger.register(place, kind) {
            Ok(id) => {
                self.keep_waker(&mut ledger, id, waker);
                self.root.signal();
                Some(id)
            }
            Err(error) => {
                ledger.break_rule(error);
                self.root.signal();
                None
            }
        }
    }

    /// A later poll: what the operation may do.
    pub fn turn(&self, id: OpId, waker: &Waker) -> Turn {
        let mut ledger = self.ledger();
        let turn = ledger.turn(id);
        if matches!(turn, Turn::Pending | Turn::Execute) {
            self.keep_waker(&mut ledger, id, waker);
        }
        turn
    }

    /// Keeps no clone of the root waker: its reference count is how foreign futures are found.
    fn keep_waker(&self, ledger: &mut Ledger, id: OpId, waker: &Waker) {
        let apart = !self.root.is(waker);
        ledger.wakes_apart |= apart;
        if let Some(op) = ledger.ops.get_mut(&id) {
            if !apart {
                op.waker = None;
            } else if !op
                .waker
                .as_ref()
                .is_some_and(|known| known.will_wake(waker))
            {
                op.waker = Some(waker.clone());
            }
        }
    }

    /// The attempt was let go and may not begin any more, since the lease came into doubt in between: it asks anew.
    pub fn postpone(&self, id: OpId) {
        let mut ledger = self.ledger();
        if let Some(op) = ledger.ops.get_mut(&id) {
            op.phase = Phase::Fresh;
            ledger.fresh.push_front(id);
        }
        drop(ledger);
        self.root.signal();
    }

    /// The operation's future is gone.
    pub fn dropped(&self, id: OpId) {
        let scope = self.ledger().dropped(id);
        self.root.signal();
        panics::discard(scope);
    }

    /// Marks whose user code is being polled until the guard is dropped.
    pub fn enter(&self, id: OpId) -> Active<'_> {
        let outer = self.ledger().active.replace(id);
        Active { pass: self, outer }
    }

    /// An attempt succeeded.
    pub fn complete(&self, id: OpId, result: Option<Json>) {
        let now = self.now();
        self.ledger().settle(id, result, now);
        self.root.signal();
    }

    /// An attempt failed; `decision` is the policy's answer, `counts` the budgets used up to now.
    pub fn fail(&self, id: OpId, failure: Failure, decision: Decision, counts: RetryCounts) {
        let now = self.now();
        let mut ledger = self.ledger();
        if let Some(op) = ledger.ops.get_mut(&id) {
            op.notes.retry_counts = counts;
        }
        ledger.fail(id, failure, decision, now);
        self.tell(ledger);
        self.root.signal();
    }

    /// A condition is not true yet.
    pub fn not_yet(&self, id: OpId) {
        let now = self.now();
        let mut ledger = self.ledger();
        ledger.not_yet(id, now);
        self.tell(ledger);
        self.root.signal();
    }

    /// The number of the attempt that is under way, or about to begin.
    #[must_use]
    pub fn attempt_under_way(&self, id: OpId) -> u32 {
        let ledger = self.ledger();
        let failed = ledger
            .ops
            .get(&id)
            .map(|op| match (op.tick, &op.notes.tick) {
                (Some(_), Some(tick)) => tick.attempts,
                _ => op.record.as_ref().map_or(0, |record| record.attempts),
            });
        failed.unwrap_or(0).saturating_add(1)
    }

    /// What an operation's failures so far have used of its budgets.
    pub fn retry_counts(&self, id: OpId) -> RetryCounts {
        let ledger = self.ledger();
        let op = ledger.ops.get(&id);
        op.map_or_else(RetryCounts::default, |op| op.notes.retry_counts.clone())
    }
}

/// See [`Pass::enter`].
pub struct Active<'a> {
    pass: &'a Pass,
    outer: Option<OpId>,
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.pass.ledger().active = self.outer;
    }
}

impl Ledger {
    /// A live outcome: queued for its place in the order.
    pub(super) fn settle(&mut self, id: OpId, result: Option<Json>, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        let mut record = finished(op.record.take(), &op.step_name, &op.phase, now);
        record.state = RecordState::Completed;
        record.result = result;
        // Of most there is nothing left to tell.
        record.metadata = op.notes.ended().to_json();
        if !matches!(
            op.kind,
            Kind::Wait { .. } | Kind::Merge { .. } | Kind::Repeat(_)
        ) {
            record.attempts += 1;
        }
        let context = op.take_context();
        record.context_delta = delta::to_json(&context);
        op.phase = Phase::Done(Box::new(LiveOutcome {
            record,
            errors: Vec::new(),
            context,
        }));
        self.done.push_back(id);
    }

    fn fail(&mut self, id: OpId, failure: Failure, decision: Decision, now: Timestamp) {
        let context = self.context_snapshot(id);
        let came_too_late = self.changed_entry(id).is_some();
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        if came_too_late {
            // What it made of an entry that has changed does not count, whatever it failed of.
            op.end_attempt();
        }
        // At its deadline a condition was looked at for the last time, whatever came of it.
        let is_over = op.deadline().is_some_and(|deadline| deadline <= now);
        let delay = decision.delay.filter(|_| !is_over);
        let mut record = finished(op.record.take(), &op.step_name, &op.phase, now);
        record.attempts += 1;
        let error = ErrorRow {
            step_name: Some(op.step_name.clone()),
            attempt: record.attempts,
            class: failure.class.clone(),
            message: failure.message.clone(),
            backtrace: failure.backtrace,
            context,
            at: now,
        };
        let next = delay.map(|delay| {
            let retry_at = ceil_to_micros(after(now, delay));
            op.deadline().map_or(retry_at, |last| last.min(retry_at))
        });
        let told = is_heard().then(|| tiding(op, &error, decision.tries, next));
        self.tidings.extend(told);
        if let Some((delay, retry_at)) = delay.zip(next) {
            op.end_attempt();
            // What waits for no time has no instant in its row, which a clock could be set back from.
            let at_once = delay.is_zero();
            op.notes.executing = false;
            record.metadata = op.notes.to_json();
            record.state = RecordState::Pending;
            record.completed_at = None;
            record.wake_at = (!at_once).then_some(retry_at);
            op.phase = Phase::Parked {
                until: Some(if at_once { AT_ONCE } else { retry_at }),
            };
            op.record = Some(record.clone());
            self.draft.record(record);
            self.draft.plan.errors.push(error);
            return;
        }
        // As at the end of a repeat; a retry by hand goes on from the notes.
        if let Some(step_name) = tick_row(op) {
            self.draft.withdraw(Withdrawal { step_name });
        }
        record.state = RecordState::Failed;
        record.error_class = Some(failure.class);
        record.error_message = Some(failure.message);
        let notes = std::mem::take(&mut op.notes);
        record.metadata = notes.given_up(failure.is_timeout || is_over).to_json();
        let context = op.take_context();
        record.context_delta = delta::to_json(&context);
        let live = LiveOutcome {
            record,
            errors: vec![error],
            context,
        };
        op.phase = Phase::Done(Box::new(live));
        self.done.push_back(id);
    }

    fn not_yet(&mut self, id: OpId, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        // What a condition writes to the context belongs to the evaluation that completes it.
        op.end_attempt();
        if op.deadline().is_some_and(|deadline| deadline <= now) {
            let message = format!("{} was still false at its deadline", op.place);
            return self.fail(id, Failure::timeout(message), Decision::GIVE_UP, now);
        }
        if matches!(&op.phase, Phase::Executing(execution) if execution.again) {
            op.phase = Phase::Fresh;
            self.fresh.push_back(id);
            return;
        }
        let next = match op.kind {
            Kind::Poll { every, .. } => Some(ceil_to_micros(after(now, every))),
            _ => None,
        };
        let until = match (next, op.deadline()) {
            (Some(next), Some(deadline)) => Some(next.min(deadline)),
            (next, deadline) => next.or(deadline),
        };
        let mut record = op
            .record
            .take()
            .unwrap_or_else(|| Record::pending(op.step_name.clone(), now));
        record.last_executed_at = Some(now);
        record.wake_at = until;
        op.notes.executing = false;
        record.metadata = op.notes.to_json();
        op.record = Some(record.clone());
        op.phase = Phase::Parked { until };
        self.draft.record(record);
    }
}

/// What is told of an attempt that failed like this; `next`: when the next one begins.
fn tiding(
    op: &Operation,
    error: &ErrorRow,
    tries: Option<Tries>,
    next: Option<Timestamp>,
) -> Tiding {
    let (step, attempt) = (Arc::clone(&op.step_name), error.attempt);
    let fault = Fault::of(&error.class, &error.message);
    match next {
        Some(next) => Tiding::Failed {
            step,
            attempt,
            tries,
            fault,
            next,
        },
        None => Tiding::GaveUp {
            step,
            attempts: attempt,
            fault,
        },
    }
}

/// The record of an attempt that has just ended.
fn finished(record: Option<Record>, step_name: &Arc<str>, phase: &Phase, now: Timestamp) -> Record {
    let since = match phase {
        Phase::Executing(execution) => Some(execution.since),
        _ => None,
    };
    let mut record =
        record.unwrap_or_else(|| Record::pending(Arc::clone(step_name), since.unwrap_or(now)));
    record.last_executed_at = since.or(record.last_executed_at);
    record.wake_at = None;
    record.completed_at = Some(now);
    record.metadata = None;
    record
}
