//! Nothing may happen now: what a pass waits for, and when it lets go of its worker.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::OpId;
use super::ledger::{Ledger, Move};
use super::operation::Phase;
use super::turn::{AT_ONCE, Sight};
use crate::clock::{after, until};
use crate::record::{Due, Record};

/// How long a park waits for a future that the engine does not know, and how long a woken step may
/// stay unpolled before it no longer counts as executing.
const GRACE: Duration = Duration::from_secs(1);

/// After this long an attempt's "started" is written, so that operators see what hangs; quick
/// attempts fold it into their completion.
const NOTE_AFTER: Duration = Duration::from_millis(100);

impl Ledger {
    /// Nothing may happen now: wait, or park when nothing durable executes.
    pub(super) fn rest(&mut self, sight: Sight<'_>) -> Move {
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

    fn survey(&self, sight: Sight<'_>) -> Survey {
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
