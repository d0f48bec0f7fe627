//! What may happen next: the rules of replay order, barrier and parking, in order of precedence.

use std::time::Instant;

use jiff::Timestamp;

use super::ledger::{Ledger, Move};
use super::operation::{Execution, Kind, Operation, Phase, WaitUntil};
use super::{OpId, Place};
use crate::clock::{after, ceil_to_micros};
use crate::error::DefinitionError;
use crate::record::{BranchRow, Record};

/// Where an attempt waits that is to be tried again at once, whatever the clock says: before every instant.
pub(super) const AT_ONCE: Timestamp = Timestamp::MIN;

/// What the driver knows that the ledger does not.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    pub now: Timestamp,
    /// `now` has nothing to do with `real_now`.
    pub is_virtual: bool,
    pub real_now: Instant,
    /// Since when nothing has happened that the engine itself did.
    pub quiet_since: Instant,
    /// Somebody keeps a clone of the root waker.
    pub root_cloned: bool,
    /// Whether the lease is not in doubt.
    pub may_begin: &'a dyn Fn() -> bool,
}

impl Ledger {
    /// Decides. Everything that changes here goes into the draft; `flush` tells that the draft must
    /// be submitted before waiting.
    pub fn next_move(&mut self, sight: Sight<'_>) -> Move {
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
        if self.fire_deadlines(sight) {
            return Move::Poll;
        }
        self.rest(sight)
    }

    /// A clock that was set, or went on while the machine was suspended, is no time in which an attempt had its turn:
    /// its limit moves along.
    fn follow_clock(&mut self, sight: Sight<'_>) {
        let before = self.seen.replace((sight.now, sight.real_now));
        let Some((now, real_now)) = before.filter(|_| !sight.is_virtual) else {
            return;
        };
        let mut limits = self.ops.values_mut().filter_map(|op| match &mut op.phase {
            Phase::Executing(run) => run.timeout_at.as_mut(),
            _ => None,
        });
        // Nearly always there is none.
        let Some(first) = limits.next() else {
            return;
        };
        let passed = sight.real_now.saturating_duration_since(real_now);
        let leap = sight.now.duration_since(after(now, passed));
        if leap.is_zero() {
            return;
        }
        for at in std::iter::once(first).chain(limits) {
            *at = at.checked_add(leap).unwrap_or(Timestamp::MAX);
        }
    }

    /// The block of a branch that is not sealed may hold recorded steps, whose places come before
    /// those of other arms, and before what is new: it begins before those are released. It dispatches
    /// nothing before the pass has caught up.
    fn begin_blocks(&mut self, sight: Sight<'_>) -> bool {
        let nothing_is_left = self.replayed >= self.history.seq_last();
        // Behind what is not durable there is nothing recorded: such a block begins as a step does.
        if self.recorded.is_empty() && nothing_is_left || !self.barrier_is_clear() {
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
    fn start_fresh(&mut self, sight: Sight<'_>) -> Option<Move> {
        let mut held_back = Vec::new();
        let mut granted = false;
        while let Some(id) = self.fresh.pop_front() {
            let clear = self.barrier_is_clear()
                && !self.draining
                && (sight.may_begin)()
                && !self.is_behind_a_wait(id);
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
                    self.look_for_renamed(id, sight);
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

    fn begin(&mut self, id: OpId, sight: Sight<'_>) {
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
            begun: false,
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
                let place = Place {
                    kind: "branch",
                    key,
                };
                self.name_of(&place).to_string()
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
            return self.settle(id, None, now);
        }
        let branches = branches.clone();
        op.phase = Phase::Parked { until: None };
        if op.record.is_none() {
            let record = Record::pending(op.step_name.clone(), now);
            op.record = Some(record.clone());
            self.draft.record(record);
        }
        let is_open = |step_name: &str| {
            let mut sealed = rows.iter().filter(|row| row.sealed);
            !sealed.any(|row| row.step_name == step_name)
        };
        self.close_given_up(&branches, is_open, now);
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

    fn fire_deadlines(&mut self, sight: Sight<'_>) -> bool {
        let now = sight.now;
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
            self.fire(*id, sight);
        }
        !due.is_empty()
    }

    fn fire(&mut self, id: OpId, sight: Sight<'_>) {
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        match (&mut op.phase, &op.kind) {
            (Phase::Executing(execution), _) => {
                execution.timed_out = true;
                // Who does not poll it from now on has abandoned it.
                execution.unpolled_since.get_or_insert(sight.real_now);
                self.to_wake.extend(op.waker.take());
            }
            (_, Kind::Wait { .. }) => self.settle(id, None, sight.now),
            _ => {
                op.phase = Phase::Fresh;
                if let Some(record) = &mut op.record {
                    record.wake_at = None;
                }
                self.fresh.push_back(id);
            }
        }
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
