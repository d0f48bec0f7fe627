//! What the end of a body means for its run. Pure: no I/O, no clock.

use std::time::Duration;

use super::pass::{Failure, Thrown};
use crate::error::DefinitionError;
use crate::record::{Json, RetryCounts};
use crate::retry::{Decision as Answer, RetryPolicies};

/// How a pass ended.
#[derive(Debug)]
pub enum Ending {
    /// The body returned.
    Returned(Result<Json, Thrown>),
    /// The body panicked.
    Panicked(Failure),
    /// A rule was broken.
    Broken(DefinitionError),
    /// Nothing to do but wait.
    Parked {
        wake_at: Option<crate::record::Due>,
        to_retry: bool,
        dropped_foreign: bool,
    },
    /// The run was taken away; nothing of this pass counts any more.
    Lost,
}

/// What the run becomes.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// The failed record that the body saw last reached its end.
    Stall { step_name: std::sync::Arc<str> },
    /// Tried again after a delay; `counts` are the body's failures since the last progress.
    Retry {
        delay: Duration,
        counts: RetryCounts,
    },
    /// Failed for good; `counts` have this failure, too.
    Fail { counts: RetryCounts },
}

/// What the decision about a failed body rests on.
#[derive(Debug)]
pub struct FailedBody<'a> {
    /// The record that the body received last, if it was a failed one.
    pub last_failed: Option<&'a std::sync::Arc<str>>,
    pub thrown: &'a Thrown,
    pub policies: &'a RetryPolicies,
    /// Body failures since the last progress, before this one.
    pub counts: RetryCounts,
    /// Point in the jitter band, in `[0, 1)`.
    pub spread: f64,
}

/// Stalled, failed or tried again, and what the policies said: the class that they lend to the
/// error, and which attempt of its budget this was. Each budget is asked by its own count; how many
/// failures there were in all bounds nothing.
#[must_use]
pub fn decide(body: FailedBody<'_>) -> (Decision, Answer) {
    if let Some(step_name) = body.last_failed {
        let step_name = step_name.clone();
        return (Decision::Stall { step_name }, Answer::GIVE_UP);
    }
    let mut counts = body.counts;
    let answer = body
        .policies
        .decide(body.thrown.cause(), &mut counts, body.spread);
    // A recorded failure is the same on every replay, so replaying cannot help.
    let delay = answer.delay.filter(|_| !body.thrown.failure.is_recorded);
    let decision = match delay {
        Some(delay) => Decision::Retry { delay, counts },
        None => Decision::Fail { counts },
    };
    (decision, answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StepError;
    use crate::retry::RetryPolicy;

    #[derive(Debug, thiserror::Error)]
    #[error("busy")]
    struct Busy;

    fn decide_with(
        last_failed: Option<&str>,
        error: anyhow::Error,
        policies: &RetryPolicies,
        counts: &str,
    ) -> (Decision, Option<&'static str>) {
        let last_failed = last_failed.map(std::sync::Arc::from);
        let (decision, answer) = decide(FailedBody {
            last_failed: last_failed.as_ref(),
            thrown: &Thrown::typed(error),
            policies,
            counts: RetryCounts::of_text(counts),
            spread: 0.0,
        });
        (decision, answer.class)
    }

    fn by_default(last_failed: Option<&str>, error: anyhow::Error, counts: &str) -> Decision {
        let policies = RetryPolicy::workflow().jitter(false).into();
        decide_with(last_failed, error, &policies, counts).0
    }

    fn retry(seconds: u64, counts: &str) -> Decision {
        Decision::Retry {
            delay: Duration::from_secs(seconds),
            counts: RetryCounts::of_text(counts),
        }
    }

    fn fail(counts: &str) -> Decision {
        Decision::Fail {
            counts: RetryCounts::of_text(counts),
        }
    }

    fn recorded() -> anyhow::Error {
        StepError::new("a".into(), 3, "E".into(), "m".into(), false).into()
    }

    #[test]
    fn an_error_right_after_a_failed_record_stalls_whatever_its_type() {
        let stalled = || Decision::Stall {
            step_name: "step$a".into(),
        };
        let last = Some("step$a");
        assert_eq!(by_default(last, recorded(), "{}"), stalled());
        let string = anyhow::anyhow!("a string");
        assert_eq!(by_default(last, string, r#"{"*":9}"#), stalled());
    }

    #[test]
    fn a_recorded_failure_after_other_outcomes_fails_without_futile_retries() {
        let error = recorded().context("after compensation");
        assert_eq!(by_default(None, error, "{}"), fail(r#"{"*":1}"#));
    }

    #[test]
    fn another_error_is_tried_ten_times() {
        let flaky = || anyhow::anyhow!("flaky");
        assert_eq!(by_default(None, flaky(), "{}"), retry(1, r#"{"*":1}"#));
        let ninth = by_default(None, flaky(), r#"{"*":8}"#);
        assert_eq!(ninth, retry(256, r#"{"*":9}"#));
        let tenth = by_default(None, flaky(), r#"{"*":9}"#);
        assert_eq!(tenth, fail(r#"{"*":10}"#));
    }

    #[test]
    fn budgets_are_independent_and_what_none_covers_fails() {
        let three = RetryPolicy::new().max_attempts(3).jitter(false);
        let busy = three.clone().on::<Busy>();
        let policies = RetryPolicies::from([busy.clone(), three.on::<StepError>()]);
        let name = std::any::type_name::<Busy>();
        let used = format!(r#"{{"{name}":1,"other":7}}"#);
        let (decision, class) = decide_with(None, Busy.into(), &policies, &used);
        assert_eq!(decision, retry(2, &used.replace(":1", ":2")));
        assert_eq!(class, Some(name));
        let other = decide_with(None, anyhow::anyhow!("other"), &busy.into(), "{}");
        assert_eq!(other, (fail("{}"), None));
    }
}
