//! Repeats: one operation that runs user code again and again without ever being delivered.
//!
//! Each turn of it looks first (`until`), then runs at most one tick, and goes to the back of the
//! queue. A tick's end, its repetition row and the new frontier are one plan, and the next user code
//! waits behind the barrier until that is durable: a finished tick never runs again, and an unfinished
//! one never leaves the repeat.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::delta;
use super::ledger::Ledger;
use super::operation::{Execution, LiveOutcome, Operation, Phase};
use super::turn::AT_ONCE;
use super::{Failure, Kind, OpId, Pass};
use crate::clock::{after, ceil_to_micros};
use crate::engine::repeat::{Look, Next, OnError, Repeat};
use crate::engine::report::{Fault, Tiding, is_heard};
use crate::record::{
    EndedTick, ErrorRow, Notes, Record, RecordState, RetryCounts, SkippedNotes, TickNotes,
    Withdrawal,
};
use crate::retry::Decision;
use crate::schedule::{Passed, tick_name};

impl Pass {
    /// The tick whose body may run now; `None`: it is `until`'s turn.
    pub fn due_tick(&self, id: OpId) -> Option<Timestamp> {
        self.ledger().ops.get(&id)?.tick
    }

    /// The scheduled instant of the tick whose body this thread is polling.
    pub fn active_tick(&self) -> Option<Timestamp> {
        let ledger = self.ledger();
        ledger.ops.get(&ledger.active?)?.tick
    }

    /// `until` answered.
    pub fn until_answered(&self, id: OpId, is_over: bool) {
        let now = self.now();
        let mut ledger = self.ledger();
        if is_over {
            ledger.withdraw_tick(id);
            ledger.settle(id, None, now);
        } else {
            ledger.look_at_grid(id, now);
        }
        self.tell(ledger);
        self.root.signal();
    }

    /// The body of the due tick succeeded.
    pub fn tick_completed(&self, id: OpId) {
        let now = self.now();
        self.ledger().complete_tick(id, now);
        self.root.signal();
    }

    /// The body of the due tick failed; `decision` is the policy's answer.
    pub fn tick_failed(&self, id: OpId, failure: Failure, decision: Decision, counts: RetryCounts) {
        let now = self.now();
        let mut ledger = self.ledger();
        ledger.fail_tick(id, failure, decision, counts, now);
        self.tell(ledger);
        self.root.signal();
    }

    /// The budgets of the tick under way.
    pub fn tick_counts(&self, id: OpId) -> RetryCounts {
        let ledger = self.ledger();
        let tick = ledger.ops.get(&id).and_then(|op| op.notes.tick.as_ref());
        tick.map(|tick| tick.retry_counts.clone())
            .unwrap_or_default()
    }
}

impl Ledger {
    /// Fixes the grid, once, and has it durable before the first tick, which may be due at once: no
    /// crash moves it, though `start_at` may say another instant then.
    pub(super) fn anchor_repeat(&mut self, id: OpId, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        let Kind::Repeat(repeat) = &op.kind else {
            return;
        };
        if op.notes.anchor.is_some() {
            return;
        }
        let (anchor, frontier) = repeat.begin(now);
        op.notes.anchor = Some(anchor.as_microsecond());
        op.notes.last_execution_at = Some(frontier.as_microsecond());
        self.write_repeat(id, now, None);
        self.draft.raise_barrier();
    }

    /// `until` is false: what is there to do?
    fn look_at_grid(&mut self, id: OpId, now: Timestamp) {
        let Some((op, repeat)) = self.repeat(id) else {
            return;
        };
        // What a condition writes to the context belongs to the evaluation that ends the repeat.
        op.end_attempt();
        op.notes.retry_counts = RetryCounts::default();
        // One that was cut off before it could fail is as good as not begun.
        if let Some(tick) = op.notes.tick.take().filter(|tick| tick.attempts > 0) {
            op.notes.tick = Some(tick.clone());
            return self.resume_tick(id, &repeat, tick, now);
        }
        let anchor = instant(op.notes.anchor);
        let frontier = instant(op.notes.last_execution_at);
        let Look { expired, next } = repeat.look(anchor, frontier, now);
        if let Some(expired) = expired {
            op.notes.last_execution_at = Some(expired.last.as_microsecond());
            op.notes.ticks.get_or_insert_default().skipped = Some(SkippedNotes {
                count: expired.count,
                from: expired.first.as_microsecond(),
                to: expired.last.as_microsecond(),
            });
            let (summary, step) = (summary(op, &expired, now), Arc::clone(&op.step_name));
            self.draft.record(summary);
            if is_heard() {
                let passed = expired;
                self.tidings.push(Tiding::Skipped { step, passed });
            }
            self.write_repeat(id, now, None);
        }
        match next {
            Next::Wait(at) => self.park_repeat(id, at, now),
            Next::Run(at) => {
                let tick = TickNotes {
                    at: at.as_microsecond(),
                    timeout_at: Some(window_end(at, repeat.timeout)),
                    ..TickNotes::default()
                };
                self.run_tick(id, tick);
            }
        }
    }

    /// A tick that has failed before, or was cut off.
    fn resume_tick(&mut self, id: OpId, repeat: &Repeat, mut tick: TickNotes, now: Timestamp) {
        let at = instant(Some(tick.at));
        let is_over = tick
            .timeout_at
            .is_some_and(|end| now.as_microsecond() >= end);
        tick.timeout_at
            .get_or_insert_with(|| window_end(at.max(now), repeat.timeout));
        let retry_at = tick.retry_at.map(|at| instant(Some(at)));
        if is_over {
            let failure = Failure::timeout(format!(
                "its window of {:?} was over after {} failed attempts",
                repeat.timeout, tick.attempts
            ));
            self.give_up_tick(id, failure, None, now);
        } else if let Some(retry_at) = retry_at.filter(|at| *at > now) {
            self.park_repeat(id, Some(retry_at), now);
        } else {
            self.run_tick(id, tick);
        }
    }

    /// Runs a tick as soon as everything before it is durable.
    fn run_tick(&mut self, id: OpId, tick: TickNotes) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        op.tick = Some(instant(Some(tick.at)));
        op.notes.tick = Some(tick);
        op.phase = Phase::Fresh;
        self.fresh.push_back(id);
    }

    fn complete_tick(&mut self, id: OpId, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        let Some(mut row) = repetition(op, now) else {
            return;
        };
        row.state = RecordState::Completed;
        row.attempts += 1;
        row.completed_at = Some(now);
        let written = op.end_attempt();
        self.changed.extend(written.keys().cloned());
        op.kept.extend(written);
        self.note_progress();
        self.advance(id, row, Vec::new(), now);
    }

    fn fail_tick(
        &mut self,
        id: OpId,
        failure: Failure,
        decision: Decision,
        counts: RetryCounts,
        now: Timestamp,
    ) {
        let context = self.context_snapshot(id);
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        let Some(tick) = &mut op.notes.tick else {
            return;
        };
        tick.attempts = tick.attempts.saturating_add(1);
        tick.retry_counts = counts;
        let (attempts, end) = (tick.attempts, instant(tick.timeout_at));
        op.end_attempt();
        let Some(row) = repetition(op, now) else {
            return;
        };
        let error = ErrorRow {
            step_name: Some(Arc::clone(&row.step_name)),
            attempt: attempts,
            class: failure.class.clone(),
            message: failure.message.clone(),
            backtrace: failure.backtrace.clone(),
            context,
            at: now,
        };
        // An attempt at the end of its window would come too late.
        let Some(delay) = decision.delay.filter(|_| end > now) else {
            return self.give_up_tick(id, failure, Some(error), now);
        };
        let retry_at = ceil_to_micros(after(now, delay)).min(end);
        if is_heard() {
            self.tidings.push(Tiding::Failed {
                step: Arc::clone(&op.step_name),
                attempt: attempts,
                tries: decision.tries,
                fault: Fault::of(&failure.class, &failure.message),
                next: retry_at,
            });
        }
        // What waits for no time has no instant, which a clock could be set back from.
        let retry_at = Some(retry_at).filter(|_| !delay.is_zero());
        if let Some(tick) = &mut op.notes.tick {
            tick.retry_at = retry_at.map(Timestamp::as_microsecond);
        }
        let row = Record {
            wake_at: retry_at,
            ..row
        };
        self.draft.record(row);
        self.draft.plan.errors.push(error);
        self.park_repeat(id, Some(retry_at.unwrap_or(AT_ONCE)), now);
    }

    fn give_up_tick(
        &mut self,
        id: OpId,
        failure: Failure,
        error: Option<ErrorRow>,
        now: Timestamp,
    ) {
        let Some((op, repeat)) = self.repeat(id) else {
            return;
        };
        let Some(mut row) = repetition(op, now) else {
            return;
        };
        row.state = RecordState::Failed;
        row.completed_at = Some(now);
        row.error_class = Some(failure.class.clone());
        row.error_message = Some(failure.message.clone());
        let errors = error.into_iter().collect();
        let tick = op.notes.tick.as_ref().map(|tick| instant(Some(tick.at)));
        let fault = is_heard().then(|| Fault::of(&failure.class, &failure.message));
        let (step, attempts) = (Arc::clone(&op.step_name), row.attempts);
        if repeat.on_error == OnError::Continue {
            let told = fault.zip(tick).map(|(fault, tick)| Tiding::TickFailed {
                step,
                tick,
                attempts,
                fault,
            });
            self.tidings.extend(told);
            return self.advance(id, row, errors, now);
        }
        note_end(op, &row);
        // The frontier stays: a retry by hand runs this tick again.
        let mut record = pending(op, now);
        record.state = RecordState::Failed;
        record.attempts = record.attempts.max(row.attempts);
        record.completed_at = Some(now);
        record.error_class = Some(failure.class);
        record.error_message = Some(failure.message);
        record.metadata = op.notes.clone().given_up(failure.is_timeout).to_json();
        let live = LiveOutcome {
            record,
            errors,
            context: std::mem::take(&mut op.kept),
        };
        op.phase = Phase::Done(Box::new(live));
        self.tidings.extend(fault.map(|fault| Tiding::GaveUp {
            step,
            attempts,
            fault,
        }));
        self.draft.record(row);
        self.done.push_back(id);
    }

    /// A tick is over: its row, the new frontier and what it wrote are one plan, and nothing new
    /// begins before that is durable.
    fn advance(&mut self, id: OpId, mut row: Record, errors: Vec<ErrorRow>, now: Timestamp) {
        if let Some(op) = self.ops.get_mut(&id) {
            row.wake_at = None;
            note_end(op, &row);
            let tick = op.notes.tick.take();
            op.notes.last_execution_at = tick.map(|tick| tick.at);
            op.tick = None;
            op.phase = Phase::Fresh;
            self.fresh.push_back(id);
        }
        self.draft.deliver(row, errors);
        self.write_repeat(id, now, None);
    }

    fn park_repeat(&mut self, id: OpId, until: Option<Timestamp>, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        op.tick = None;
        let again = matches!(&op.phase, Phase::Executing(execution) if execution.again);
        op.phase = Phase::Parked { until };
        if again {
            // A wake-up came while `until` looked, perhaps too early.
            op.phase = Phase::Fresh;
            self.fresh.push_back(id);
        }
        self.write_repeat(id, now, until.filter(|at| *at != AT_ONCE));
    }

    fn write_repeat(&mut self, id: OpId, now: Timestamp, wake_at: Option<Timestamp>) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        op.notes.executing = false;
        let mut record = pending(op, now);
        record.last_executed_at = Some(now);
        record.wake_at = wake_at;
        record.metadata = op.notes.to_json();
        record.context_delta = delta::to_json(&op.kept);
        op.record = Some(record.clone());
        self.draft.record(record);
    }

    /// The row of the tick under way goes with its repeat; attempts are told by error rows.
    pub(super) fn withdraw_tick(&mut self, id: OpId) {
        if let Some(name) = self.ops.get(&id).and_then(|op| tick_row(op)) {
            self.draft.withdraw(Withdrawal { step_name: name });
        }
    }

    fn repeat(&mut self, id: OpId) -> Option<(&mut Operation, Arc<Repeat>)> {
        let op = self.ops.get_mut(&id)?;
        let Kind::Repeat(repeat) = &op.kind else {
            return None;
        };
        let repeat = Arc::clone(repeat);
        Some((op, repeat))
    }
}

/// Whether a tick of it is over. Its row then stays when the body drops it, as that of a step that was
/// tried: should the body come back to it, after a retry by hand, no finished tick runs again.
pub(super) fn has_ticked(op: &Operation) -> bool {
    let Kind::Repeat(repeat) = &op.kind else {
        return false;
    };
    let anchor = op.notes.anchor.unwrap_or(i64::MAX);
    // The anchor is a tick only where the repeat names its start.
    let first = anchor.saturating_add(i64::from(repeat.start_at.is_none()));
    op.notes.last_execution_at.is_some_and(|over| over >= first)
}

/// The row of a repeat that the body dropped: its frontier with what its ticks wrote, and nothing that
/// it waits for.
pub(super) fn left_behind(mut op: Operation) -> Record {
    op.notes.executing = false;
    op.notes.tick = None;
    let mut record = pending(&op, instant(op.notes.anchor));
    record.wake_at = None;
    record.metadata = op.notes.to_json();
    record.context_delta = delta::to_json(&op.kept);
    record
}

/// Keeps how the tick under way has ended, as its row says.
fn note_end(op: &mut Operation, row: &Record) {
    let (Some(tick), Some(ended_at)) = (&op.notes.tick, row.completed_at) else {
        return;
    };
    let fault = row.error_class.as_deref().zip(row.error_message.as_deref());
    let last = EndedTick {
        at: tick.at,
        ended_at: ended_at.as_microsecond(),
        error: fault.map(|(class, message)| {
            let Fault { class, error } = Fault::of(class, message);
            (class, error)
        }),
    };
    op.notes.ticks.get_or_insert_default().last = Some(last);
}

/// The name of the row of the tick under way.
pub(super) fn tick_row(op: &Operation) -> Option<Arc<str>> {
    let tick = op.notes.tick.as_ref()?;
    Some(row_name(op, instant(Some(tick.at))))
}

fn row_name(op: &Operation, tick: Timestamp) -> Arc<str> {
    format!("{}${}", op.step_name, tick_name(tick)).into()
}

/// The repetition row of the tick under way.
fn repetition(op: &Operation, now: Timestamp) -> Option<Record> {
    let tick = op.notes.tick.as_ref()?;
    let since = match &op.phase {
        Phase::Executing(Execution { since, .. }) => *since,
        _ => now,
    };
    let notes = Notes {
        scheduled_for: Some(tick.at),
        timeout_at: tick.timeout_at,
        retry_counts: tick.retry_counts.clone(),
        ..Notes::default()
    };
    let mut record = Record::pending(row_name(op, instant(Some(tick.at))), since);
    record.attempts = tick.attempts;
    record.last_executed_at = Some(since);
    record.metadata = notes.to_json();
    Some(record)
}

/// One row for all ticks that expired while nobody could run them.
fn summary(op: &Operation, expired: &Passed, now: Timestamp) -> Record {
    let notes = Notes {
        fast_forwarded: Some(expired.count),
        from: Some(expired.first.as_microsecond()),
        to: Some(expired.last.as_microsecond()),
        ..Notes::default()
    };
    let mut record = Record::pending(row_name(op, expired.last), now);
    record.state = RecordState::Failed;
    record.error_class = Some("timeout".to_owned());
    record.error_message = Some(format!(
        "{} ticks expired before they could begin",
        expired.count
    ));
    record.completed_at = Some(now);
    record.metadata = notes.to_json();
    record
}

fn pending(op: &Operation, now: Timestamp) -> Record {
    op.record
        .clone()
        .unwrap_or_else(|| Record::pending(Arc::clone(&op.step_name), now))
}

/// From then on a tick that has failed begins no further attempt.
fn window_end(from: Timestamp, timeout: Duration) -> i64 {
    ceil_to_micros(after(from, timeout)).as_microsecond()
}

/// An instant of the notes; what is missing there is the end of time, at which nothing is due.
fn instant(micros: Option<i64>) -> Timestamp {
    micros
        .and_then(|micros| Timestamp::from_microsecond(micros).ok())
        .unwrap_or(Timestamp::MAX)
}
