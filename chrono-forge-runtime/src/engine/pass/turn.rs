//! What may happen next: the rules of replay order, barrier and parking, in order of precedence.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::ledger::{Ledger, Move};
use super::operation::{Execution, Kind, Operation, Phase, WaitUntil};
use super::{OpId, Place};
use crate::clock::{after, ceil_to_micros, until};
use crate::error::DefinitionError;
use crate::record::{BranchRow, Due, Record};

/// How long a park waits for a future that the engine does not know, and how long a woken step may
/// stay unpolled before it no longer counts as executing.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// After this long an attempt's "started" is written, so that operators see what hangs; quick
/// attempts fold it into their completion.
const NOTE_AFTER: Duration = Duration::from_millis(100);

/// Where an attempt waits that is to be tried again at once, whatever the clock says: before every instant.
pub(super) const AT_ONCE: Timestamp = Timestamp::MIN;

/// What the driver knows that the ledger does not.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    pub now: Timestamp,
    /// `now` has nothing to do with `real_now`.
    pub is_virtual: bool,
    pub real_now: Instant,
    /// Since when the body is pending without anything having happened.
    pub quiet_since: Instant,
    /// Somebody keeps a clone of the root waker.
    pub root_cloned: bool,
}

impl Ledger {
    /// Decides. Everything that changes here goes into the draft; `flush` tells that the draft must
    /// be submitted before waiting.
    pub fn next_move(&mut self, sight: Sight) -> Move {
        self.follow_clock(sight);
        self.withdraw_leaving();
        if self.holds > 0 {
            return Move::Wait {
                until: None,
                real: None,
            };
        }
        if std::mem::take(&mut self.landed) {
            return Move::Poll;
        }
        if self.begin_blocks(sight) {
            return Move::Poll;
        }
        if let Some(next) = self.release_recorded() {
            self.caught_up = false;
            return next;
        }
        if self.catch_up() {
            return Move::Poll;
        }
        if let Some(next) = self.release_live() {
            return next;
        }
        if let Some(next) = self.start_fresh(sight) {
            return next;
        }
        if let Some(next) = self.look_again() {
            return next;
        }
        if self.fire_deadlines(sight.now) {
            return Move::Poll;
        }
        self.rest(sight)
    }

    /// A clock that was set, or went on while the machine was suspended, is no time in which an attempt had its turn:
    /// its limit moves along.
    fn follow_clock(&mut self, sight: Sight) {
        let before = self.seen.replace((sight.now, sight.real_now));
        let Some((now, real_now)) = before.filter(|_| !sight.is_virtual) else {
            return;
        };
        let passed = sight.real_now.saturating_duration_since(real_now);
        let leap = sight.now.duration_since(after(now, passed));
        if leap.is_zero() {
            return;
        }
        for op in self.ops.values_mut() {
            if let Phase::Executing(run) = &mut op.phase
                && let Some(at) = &mut run.timeout_at
            {
                *at = at.checked_add(leap).unwrap_or(Timestamp::MAX);
            }
        }
    }

    /// The block of a branch that is not sealed may hold recorded steps, whose places come before
    /// those of other arms, and before what is new: it begins before those are released. It dispatches
    /// nothing before the pass has caught up.
    fn begin_blocks(&mut self, sight: Sight) -> bool {
        let nothing_is_left = self.replayed >= self.history.seq_last();
        if self.recorded.is_empty() && nothing_is_left {
            return false;
        }
        let is_block = |id: &&OpId| {
            let op = self.ops.get(*id);
            op.is_some_and(|op| {
                matches!(op.kind, Kind::Branch) && op.retry_at().is_none_or(|at| at <= sight.now)
            })
        };
        let blocks: Vec<OpId> = self.fresh.iter().filter(is_block).copied().collect();
        self.fresh.retain(|id| !blocks.contains(id));
        for id in &blocks {
            self.begin(*id, sight);
        }
        !blocks.is_empty()
    }

    /// Nothing recorded is left: tells effects that wait for this; whether there are any.
    fn catch_up(&mut self) -> bool {
        if std::mem::replace(&mut self.caught_up, true) {
            return false;
        }
        let before = self.to_wake.len();
        self.to_wake.append(&mut self.ack_waiters);
        self.to_wake.len() > before
    }

    /// New operations: nothing recorded is left to release, so anything new may happen.
    fn start_fresh(&mut self, sight: Sight) -> Option<Move> {
        let mut held_back = Vec::new();
        let mut granted = false;
        while let Some(id) = self.fresh.pop_front() {
            let clear = self.barrier_is_clear() && !self.draining && !self.is_behind_a_wait(id);
            let Some(op) = self.ops.get_mut(&id) else {
                continue;
            };
            if let Kind::Merge { branches } = &op.kind {
                if granted {
                    // The check reads the database; what may run is polled before that.
                    self.fresh.push_front(id);
                    break;
                }
                let branches = branches.clone();
                op.phase = Phase::Checking;
                self.fresh.extend(held_back);
                return Some(self.check_merge(id, branches));
            }
            match op.retry_at().filter(|at| *at > sight.now) {
                // A retry or a poll whose time has not come, or a wait under way.
                Some(at) if !op.looks_early() => {
                    op.phase = Phase::Parked { until: Some(at) };
                }
                _ if op.runs_user_code() && !clear => held_back.push(id),
                _ => {
                    self.begin(id, sight);
                    granted = true;
                }
            }
        }
        self.fresh.extend(held_back);
        granted.then_some(Move::Poll)
    }

    /// Whether a wait was over before this operation's attempt came due. After a long sleep both are
    /// due: the wait ends first, and the body may go on without the attempt.
    fn is_behind_a_wait(&self, id: OpId) -> bool {
        let Some(due) = self.ops.get(&id).and_then(|op| op.attempt_due()) else {
            return false;
        };
        self.ops.values().any(|op| {
            let over = match (&op.kind, &op.phase) {
                (Kind::Wait { .. }, Phase::Parked { until }) => *until,
                (Kind::Wait { .. }, Phase::Fresh) => op.retry_at(),
                _ => None,
            };
            over.is_some_and(|at| at <= due)
        })
    }

    fn begin(&mut self, id: OpId, sight: Sight) {
        self.anchor_repeat(id, sight.now);
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        // A branch that is not sealed runs its block again, and with it recorded steps.
        self.beyond_history |= !matches!(op.kind, Kind::Branch);
        if let Kind::Wait { until } = op.kind {
            let deadline = match (op.record.as_ref().and_then(|r| r.wake_at), until) {
                (Some(at), _) => at,
                (None, WaitUntil::After(span)) => ceil_to_micros(after(sight.now, span)),
                (None, WaitUntil::At(instant)) => ceil_to_micros(instant),
            };
            op.phase = Phase::Parked {
                until: Some(deadline),
            };
            if op.record.is_none() && deadline > sight.now {
                let mut record = Record::pending(op.step_name.clone(), sight.now);
                record.wake_at = Some(deadline);
                op.record = Some(record.clone());
                self.draft.record(record);
            }
            return;
        }
        if op.notes.timeout_at().is_none()
            && let Some(deadline) = first_deadline(op, sight.now)
        {
            // Written before the first evaluation, so that no crash restarts the time.
            op.notes.fix_timeout(Some(deadline));
            let record = op
                .record
                .get_or_insert_with(|| Record::pending(op.step_name.clone(), sight.now));
            record.metadata = op.notes.to_json();
            self.draft.record(record.clone());
        }
        let timeout = match op.kind {
            Kind::Step { timeout } => timeout,
            _ => None,
        };
        op.phase = Phase::Executing(Execution {
            since: sight.now,
            timeout_at: timeout.map(|span| after(sight.now, span)),
            timed_out: false,
            noted: false,
            unpolled_since: Some(sight.real_now),
            again: false,
        });
        self.to_wake.extend(op.waker.take());
    }

    fn check_merge(&mut self, id: OpId, branches: Vec<String>) -> Move {
        if let Some(name) = branches
            .iter()
            .find(|name| !self.branches.contains_key(*name))
        {
            self.break_rule(DefinitionError::UnknownBranch { name: name.clone() });
            return Move::Poll;
        }
        let names = branches
            .into_iter()
            .map(|key| {
                Place {
                    kind: "branch",
                    key,
                }
                .step_name()
                .to_string()
            })
            .collect();
        Move::CheckMerge(id, names)
    }

    /// The rows of a merge's branches were read.
    pub fn merge_checked(&mut self, id: OpId, rows: &[BranchRow], now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        let Kind::Merge { branches } = &op.kind else {
            return;
        };
        let joined = rows
            .iter()
            .filter(|row| row.sealed && row.pending == 0)
            .count();
        if joined == branches.len() {
            self.settle(id, None, now);
        } else {
            op.phase = Phase::Parked { until: None };
            if op.record.is_none() {
                let record = Record::pending(op.step_name.clone(), now);
                op.record = Some(record.clone());
                self.draft.record(record);
            }
        }
    }

    /// A wake-up came: clear it first, look at gates and merges once that is durable, so that a
    /// wake-up that comes meanwhile is seen by the next look.
    fn look_again(&mut self) -> Option<Move> {
        if std::mem::take(&mut self.woken) {
            self.draft.plan.consumes_wake = true;
            self.recheck = Some(self.submitted + 1);
        }
        if self.recheck.is_none_or(|number| self.acked < number) {
            return None;
        }
        self.recheck = None;
        for op in self.ops.values_mut() {
            if let (Phase::Executing(execution), Kind::Gate { .. } | Kind::Repeat(_)) =
                (&mut op.phase, &op.kind)
            {
                execution.again = true;
            }
        }
        let parked: Vec<OpId> = self
            .ops
            .iter()
            .filter(|(_, op)| {
                let asks = matches!(op.kind, Kind::Merge { .. }) || op.looks_early();
                asks && matches!(op.phase, Phase::Parked { .. })
            })
            .map(|(id, _)| *id)
            .collect();
        for id in &parked {
            if let Some(op) = self.ops.get_mut(id) {
                op.phase = Phase::Fresh;
            }
        }
        let found = !parked.is_empty();
        self.fresh.extend(parked);
        found.then_some(Move::Poll)
    }

    fn fire_deadlines(&mut self, now: Timestamp) -> bool {
        let mut due: Vec<(Timestamp, OpId)> = self
            .ops
            .iter()
            .filter_map(|(id, op)| {
                let at = match &op.phase {
                    Phase::Parked { until } => *until,
                    Phase::Executing(run) => run.timeout_at.filter(|_| !run.timed_out),
                    _ => None,
                };
                at.filter(|at| *at <= now).map(|at| (at, *id))
            })
            .collect();
        // After a long sleep several are due: the earlier deadline comes first.
        due.sort_unstable();
        for (_, id) in &due {
            self.fire(*id, now);
        }
        !due.is_empty()
    }

    fn fire(&mut self, id: OpId, now: Timestamp) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        match (&mut op.phase, &op.kind) {
            (Phase::Executing(execution), _) => {
                execution.timed_out = true;
                self.to_wake.extend(op.waker.take());
            }
            (_, Kind::Wait { .. }) => self.settle(id, None, now),
            _ => {
                op.phase = Phase::Fresh;
                if let Some(record) = &mut op.record {
                    record.wake_at = None;
                }
                self.fresh.push_back(id);
            }
        }
    }

    /// Nothing may happen now: wait, or park when nothing durable executes.
    fn rest(&mut self, sight: Sight) -> Move {
        let survey = self.survey(sight);
        self.note_started(sight.now);
        let Survey {
            until,
            real,
            wake_at,
            ..
        } = survey;
        let foreign = sight.root_cloned && !self.wakes_apart;
        let unfinished = survey.held_back || !survey.parked;
        if survey.executing || self.recheck.is_some() {
            return Move::Wait { until, real };
        }
        if unfinished && !self.draining {
            return Move::Wait { until, real };
        }
        let graced = sight.quiet_since + GRACE;
        if foreign && !self.draining && sight.real_now < graced {
            return Move::Wait {
                until,
                real: Some(graced),
            };
        }
        Move::Park {
            wake_at: match unfinished {
                true => Some(Due::AtOnce { since: sight.now }),
                // A retry that waits for no time.
                false if wake_at == Some(AT_ONCE) => Some(Due::AtOnce { since: sight.now }),
                false => wake_at.map(Due::At),
            },
            to_retry: !unfinished && self.next_is_a_retry(),
            dropped_foreign: foreign && !self.draining,
        }
    }

    /// Whether what the run waits for first is another attempt at what failed.
    fn next_is_a_retry(&self) -> bool {
        let waiting = self.ops.values().filter_map(|op| match op.phase {
            Phase::Parked { until: Some(until) } => Some((until, op.is_retrying())),
            _ => None,
        });
        let first = waiting.min_by_key(|(until, _)| *until);
        first.is_some_and(|(_, is_retrying)| is_retrying)
    }

    fn survey(&self, sight: Sight) -> Survey {
        let mut survey = Survey::default();
        for (id, op) in &self.ops {
            match &op.phase {
                // A source may be silent for days, and a dispatch take hours; both go on from the cursor.
                Phase::Executing(_) if self.draining && self.is_between_batches(*id) => {
                    survey.held_back = true;
                }
                Phase::Executing(run) => {
                    let stale_at = run.unpolled_since.map(|since| since + GRACE);
                    if stale_at.is_some_and(|at| at <= sight.real_now) {
                        // Woken and not polled: the body keeps it aside, as an abandoned `&mut step`.
                        continue;
                    }
                    survey.executing = true;
                    earliest(&mut survey.real, stale_at);
                    let timeout_at = run.timeout_at.filter(|_| !run.timed_out);
                    earliest(&mut survey.until, timeout_at);
                    // A clock that is set back meanwhile would have its sleeper wait for longer.
                    let left = timeout_at.map(|at| until(sight.now, at));
                    let real = left.and_then(|left| sight.real_now.checked_add(left));
                    earliest(&mut survey.real, real.filter(|_| !sight.is_virtual));
                    let note_at = Some(after(run.since, NOTE_AFTER));
                    earliest(&mut survey.until, note_at.filter(|_| !run.noted));
                }
                Phase::Parked { until: at } => {
                    survey.parked = true;
                    earliest(&mut survey.wake_at, *at);
                }
                Phase::Fresh | Phase::Checking => survey.held_back = true,
                _ => {}
            }
        }
        let wake_at = survey.wake_at;
        earliest(&mut survey.until, wake_at);
        survey
    }

    fn is_between_batches(&self, id: OpId) -> bool {
        let scope = self.scopes.get(&id);
        scope.is_some_and(|scope| scope.between_batches)
    }

    fn note_started(&mut self, now: Timestamp) {
        for op in self.ops.values_mut() {
            let Phase::Executing(run) = &mut op.phase else {
                continue;
            };
            if run.noted || after(run.since, NOTE_AFTER) > now {
                continue;
            }
            run.noted = true;
            let mut record = op
                .record
                .clone()
                .unwrap_or_else(|| Record::pending(op.step_name.clone(), run.since));
            record.last_executed_at = Some(run.since);
            record.wake_at = None;
            op.notes.executing = true;
            record.metadata = op.notes.to_json();
            op.record = Some(record.clone());
            self.draft.record(record);
        }
    }
}

/// What all operations of a pass are doing.
#[derive(Default)]
struct Survey {
    until: Option<Timestamp>,
    real: Option<Instant>,
    /// The earliest instant that a parked operation waits for.
    wake_at: Option<Timestamp>,
    executing: bool,
    /// An operation waits for the barrier.
    held_back: bool,
    parked: bool,
}

fn earliest<T: Ord>(so_far: &mut Option<T>, candidate: Option<T>) {
    if let Some(candidate) = candidate
        && so_far.as_ref().is_none_or(|so_far| candidate < *so_far)
    {
        *so_far = Some(candidate);
    }
}

fn first_deadline(op: &Operation, now: Timestamp) -> Option<Timestamp> {
    match op.kind {
        Kind::Poll { timeout, .. } | Kind::Gate { timeout } => {
            timeout.map(|span| ceil_to_micros(after(now, span)))
        }
        _ => None,
    }
}
