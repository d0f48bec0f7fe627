//! What the end of a body means for its run. Pure: no I/O, no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pass::Failure;
use crate::definition::BodyError;
use crate::error::{DefinitionError, RecordedFailure};
use crate::record::Json;
use crate::retry::RetryPolicy;

/// How a pass ended.
#[derive(Debug)]
pub enum Ending {
    /// The body returned.
    Returned(Result<Json, BodyError>),
    /// The body panicked.
    Panicked(Failure),
    /// A rule was broken.
    Broken(DefinitionError),
    /// Nothing to do but wait.
    Parked {
        wake_at: Option<jiff::Timestamp>,
        dropped_foreign: bool,
    },
    /// The run was taken away; nothing of this pass counts any more.
    Lost,
}

/// What the run becomes.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Complete,
    /// The failed record that the body saw last reached its end.
    Stall {
        step_name: std::sync::Arc<str>,
    },
    /// Tried again after a delay; `budget_used` counts failures since the last progress.
    Retry {
        delay: Duration,
        budget_used: u32,
    },
    Fail,
}

/// What the decision about a failed body rests on.
#[derive(Debug)]
pub struct FailedBody<'a> {
    /// The record that the body received last, if it was a failed one.
    pub last_failed: Option<&'a std::sync::Arc<str>>,
    /// `None` for a panic.
    pub error: Option<&'a anyhow::Error>,
    pub policy: RetryPolicy,
    /// Body failures since the last progress, before this one.
    pub budget_used: u32,
    /// Point in the jitter band, in `[0, 1)`.
    pub spread: f64,
}

/// Stalled, failed or tried again.
#[must_use]
pub fn decide(body: &FailedBody<'_>) -> Decision {
    if let Some(step_name) = body.last_failed {
        return Decision::Stall {
            step_name: step_name.clone(),
        };
    }
    // A recorded failure is the same on every replay, so replaying cannot help.
    if body.error.is_some_and(RecordedFailure::is_in) {
        return Decision::Fail;
    }
    let budget_used = body.budget_used.saturating_add(1);
    match body.policy.delay_after(budget_used, body.spread) {
        Some(delay) => Decision::Retry { delay, budget_used },
        None => Decision::Fail,
    }
}

/// The key of the body's own budget in `retry_counts`.
const BODY: &str = "workflow";

/// The body's budget as the row keeps it.
#[must_use]
pub fn budget_used(retry_counts: &str) -> u32 {
    serde_json::from_str::<BTreeMap<String, u32>>(retry_counts)
        .ok()
        .and_then(|counts| counts.get(BODY).copied())
        .unwrap_or(0)
}

/// `retry_counts` with this much of the body's budget used.
#[must_use]
pub fn retry_counts(budget_used: u32) -> Json {
    format!("{{\"{BODY}\":{budget_used}}}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StepError;

    fn decide_with(last_failed: Option<&str>, error: &anyhow::Error, used: u32) -> Decision {
        let last_failed = last_failed.map(std::sync::Arc::from);
        decide(&FailedBody {
            last_failed: last_failed.as_ref(),
            error: Some(error),
            policy: RetryPolicy::workflow().jitter(false),
            budget_used: used,
            spread: 0.0,
        })
    }

    fn recorded() -> anyhow::Error {
        StepError::new("a".into(), 3, "E".into(), "m".into(), false).into()
    }

    #[test]
    fn an_error_right_after_a_failed_record_stalls_whatever_its_type() {
        let stalled = Decision::Stall {
            step_name: "step$a".into(),
        };
        assert_eq!(decide_with(Some("step$a"), &recorded(), 0), stalled);
        assert_eq!(
            decide_with(Some("step$a"), &anyhow::anyhow!("a string"), 9),
            stalled
        );
    }

    #[test]
    fn a_recorded_failure_after_other_outcomes_fails_without_futile_retries() {
        assert_eq!(
            decide_with(None, &recorded().context("after compensation"), 0),
            Decision::Fail
        );
    }

    #[test]
    fn another_error_is_tried_ten_times() {
        let error = anyhow::anyhow!("flaky");
        let first = Decision::Retry {
            delay: Duration::from_secs(1),
            budget_used: 1,
        };
        assert_eq!(decide_with(None, &error, 0), first);
        assert!(matches!(
            decide_with(None, &error, 8),
            Decision::Retry { budget_used: 9, .. }
        ));
        assert_eq!(decide_with(None, &error, 9), Decision::Fail);
    }

    #[test]
    fn budgets_survive_as_text() {
        assert_eq!(budget_used(&retry_counts(7)), 7);
        assert_eq!(budget_used("{}"), 0);
    }
}
