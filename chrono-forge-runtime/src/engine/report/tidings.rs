//! What happens inside of a pass and is worth a line.
//!
//! A ledger collects tidings under its lock and its pass tells them outside of it: a subscriber may
//! be slow.

use std::sync::Arc;

use jiff::Timestamp;

use super::storms::Kind;
use super::{Fault, Report, step_of};
use crate::record::ClaimedRun;
use crate::retry::Tries;
use crate::schedule::Passed;
use crate::telemetry::TARGET;

/// See the module. `step` is the name of the record.
#[derive(Debug)]
pub enum Tiding {
    /// An attempt failed; the next one begins then.
    Failed {
        step: Arc<str>,
        /// The number of the attempt that failed, and of its error row.
        attempt: u32,
        tries: Option<Tries>,
        fault: Fault,
        next: Timestamp,
    },
    /// An attempt failed, and none follows: the body receives the error and may have an answer to
    /// it.
    GaveUp {
        step: Arc<str>,
        attempts: u32,
        fault: Fault,
    },
    /// A tick failed and none of its attempts follows; its repeat goes on.
    TickFailed {
        step: Arc<str>,
        tick: Timestamp,
        attempts: u32,
        fault: Fault,
    },
    /// Ticks came too late to begin.
    Skipped { step: Arc<str>, passed: Passed },
    /// A shutdown waits for an attempt no longer.
    CutOff { step: Arc<str> },
    /// An effect without a record begins, while this one is recorded and nothing has asked for it.
    Unclaimed { step: Arc<str>, recorded: String },
}

impl Report {
    /// Tells what happened in a pass over this run.
    pub fn tell(&self, run: &ClaimedRun, tiding: Tiding) {
        let (workflow, key) = (&*run.workflow, &*run.key);
        match tiding {
            Tiding::Failed {
                step,
                attempt,
                tries,
                fault,
                next,
            } => self.about(Kind::Retried, run, &fault, || {
                let (step, attempt) = (step_of(&step), of_all(attempt, tries));
                let Fault { class, error } = &fault;
                tracing::warn!(target: TARGET, workflow, key, step, %attempt, class, error, %next, "an attempt failed and is tried again");
            }),
            Tiding::CutOff { step } => self.about(Kind::CutOff, run, &step.clone(), || {
                let step = step_of(&step);
                tracing::warn!(target: TARGET, workflow, key, step, "the shutdown cut a step off, which runs again elsewhere, or at the next start: a longer `shutdown_grace` lets it end");
            }),
            Tiding::GaveUp {
                step,
                attempts,
                fault: Fault { class, error },
            } => {
                let step = step_of(&step);
                tracing::debug!(target: TARGET, workflow, key, step, attempts, class, error, "a step gave up; its error goes to the body");
            }
            Tiding::TickFailed {
                step,
                tick,
                attempts,
                fault,
            } => self.about(Kind::TickFailed, run, &fault, || {
                let step = step_of(&step);
                let Fault { class, error } = &fault;
                tracing::warn!(target: TARGET, workflow, key, step, %tick, attempts, class, error, "a tick failed for good; the repeat goes on with the next one");
            }),
            Tiding::Skipped { step, passed } => {
                let Passed { count, first, last } = passed;
                let newest = format_args!("{count} ticks, the last of {last}");
                self.about(Kind::Skipped, run, &newest, || {
                    let step = step_of(&step);
                    tracing::warn!(target: TARGET, workflow, key, step, count, %first, %last, "ticks were skipped, since they came later than the repeat's `timeout` allows: a longer one makes up for them");
                });
            }
            Tiding::Unclaimed { step, recorded } => self.unclaimed(run, &step, &recorded),
        }
    }

    fn unclaimed(&self, run: &ClaimedRun, step: &str, recorded: &str) {
        if !self.unclaimed.is_first(&run.workflow, recorded) {
            return;
        }
        let (workflow, key) = (&*run.workflow, &*run.key);
        let (step, recorded) = (step_of(step), step_of(recorded));
        self.about(Kind::Unclaimed, run, &recorded, || {
            tracing::warn!(target: TARGET, workflow, key, step, recorded, "`{step}` is new to a run that has recorded `{recorded}`, which nothing has asked for: if that was renamed, its effect happens a second time; keep the old key for runs in flight");
        });
    }
}

/// "2 of 3"; after a retry by hand, or where several budgets share the attempts, "5 (2 of 3)".
pub(super) fn of_all(attempt: u32, tries: Option<Tries>) -> String {
    match tries {
        Some(tries) if tries.used == attempt => tries.to_string(),
        Some(tries) => format!("{attempt} ({tries})"),
        None => attempt.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_told_beside_its_budget() {
        let tries = |used, most| Some(Tries { used, most });
        assert_eq!(of_all(2, tries(2, Some(3))), "2 of 3");
        assert_eq!(of_all(5, tries(2, Some(3))), "5 (2 of 3)");
        assert_eq!(of_all(7, tries(7, None)), "7");
        assert_eq!(of_all(1, None), "1");
    }
}
