//! An ordered list of policies, each with a budget of its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::filter::Cause;
use super::policy::RetryPolicy;
use crate::record::RetryCounts;

/// What every site takes: one [`RetryPolicy`], or an ordered list of them.
///
/// The first policy that covers a failure decides, by a count of its own; what no policy covers is not
/// tried again. So `[a, b]` gives each kind of failure its own attempts and delays:
///
/// ```
/// use chrono_forge_runtime::retry::{RetryPolicies, RetryPolicy};
///
/// let busy = RetryPolicy::new().max_attempts(20).when("busy", |error| error.to_string() == "busy");
/// let policies = RetryPolicies::from([busy, RetryPolicy::new()]);
/// # let _ = policies;
/// ```
///
/// A list is never empty. One that is written out does not compile, one that is computed is an
/// [`EmptyPolicies`]:
///
/// ```compile_fail,E0080
/// use chrono_forge_runtime::retry::RetryPolicies;
///
/// let policies = RetryPolicies::from([]);
/// # let _ = policies;
/// ```
///
/// ```
/// use chrono_forge_runtime::retry::RetryPolicies;
///
/// assert!(RetryPolicies::try_from(Vec::new()).is_err());
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicies(List);

/// One policy stands inline: a million children take the default, and nothing of it is allocated.
#[derive(Clone, Debug)]
enum List {
    One(RetryPolicy),
    Several(Arc<[RetryPolicy]>),
}

/// A list of retry policies without any: it could not say what happens after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a list of retry policies names at least one; `RetryPolicy::none()` is the policy that never retries"
)]
pub struct EmptyPolicies;

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How long to wait before the next attempt; `None` to give up.
    pub delay: Option<Duration>,
    /// The first type that the policies name and that the error has: a class for an error whose own
    /// type is erased.
    pub class: Option<&'static str>,
    /// Which attempt of its budget it was; `None` where no policy covers the failure.
    pub tries: Option<Tries>,
}

impl Decision {
    /// Nothing follows, whatever policies say.
    pub const GIVE_UP: Self = Self {
        delay: None,
        class: None,
        tries: None,
    };
}

/// Failed attempts of one budget, and how many it has. As text "2 of 3", or "2" where there is no
/// end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Attempts that have failed, the newest included.
    pub used: u32,
    /// Attempts in all; `None` where there is no end to them.
    pub most: Option<u32>,
}

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.most {
            Some(most) => write!(f, "{} of {most}", self.used),
            None => write!(f, "{}", self.used),
        }
    }
}

impl RetryPolicies {
    /// A list of one.
    #[must_use]
    pub const fn one(policy: RetryPolicy) -> Self {
        Self(List::One(policy))
    }

    /// Counts the failure on the budget of the first policy that covers it, then decides by that
    /// count alone. Where no policy covers it, nothing is counted and nothing tried again.
    pub fn decide(&self, cause: Cause<'_>, counts: &mut RetryCounts, spread: f64) -> Decision {
        let policies = self.as_slice();
        let covering = policies.iter().find(|policy| policy.covers(cause));
        let tries = covering.map(|policy| Tries {
            used: counts.count(&policy.budget()),
            most: policy.attempts_max(),
        });
        let delay = covering
            .zip(tries)
            .and_then(|(policy, tries)| policy.delay_after(tries.used, spread));
        let class = match cause {
            Cause::Error(error) => policies.iter().find_map(|policy| policy.class_of(error)),
            Cause::Panic | Cause::Timeout => None,
        };
        Decision {
            delay,
            class,
            tries,
        }
    }

    fn as_slice(&self) -> &[RetryPolicy] {
        match &self.0 {
            List::One(policy) => std::slice::from_ref(policy),
            List::Several(policies) => policies,
        }
    }
}

impl From<RetryPolicy> for RetryPolicies {
    fn from(policy: RetryPolicy) -> Self {
        Self::one(policy)
    }
}

impl<const N: usize> From<[RetryPolicy; N]> for RetryPolicies {
    fn from(policies: [RetryPolicy; N]) -> Self {
        const {
            assert!(
                N > 0,
                "a list of retry policies names at least one; `RetryPolicy::none()` is the policy that never retries"
            );
        }
        Self(List::Several(policies.into()))
    }
}

impl TryFrom<Vec<RetryPolicy>> for RetryPolicies {
    type Error = EmptyPolicies;

    fn try_from(policies: Vec<RetryPolicy>) -> Result<Self, EmptyPolicies> {
        if policies.is_empty() {
            return Err(EmptyPolicies);
        }
        Ok(Self(List::Several(policies.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("limited")]
    struct Limited;

    #[derive(Debug, thiserror::Error)]
    #[error("offline")]
    struct Offline;

    fn plain(max: u32) -> RetryPolicy {
        RetryPolicy::new().max_attempts(max).jitter(false)
    }

    fn fails(
        policies: &RetryPolicies,
        error: impl Into<anyhow::Error>,
        counts: &mut RetryCounts,
    ) -> Option<u64> {
        let error = error.into();
        let decision = policies.decide(Cause::Error(&error), counts, 0.0);
        decision.delay.map(|delay| delay.as_secs())
    }

    #[test]
    fn the_first_policy_that_covers_a_failure_decides() {
        let policies = RetryPolicies::from([plain(9).on::<Limited>(), plain(1)]);
        let mut counts = RetryCounts::default();
        assert_eq!(fails(&policies, Limited, &mut counts), Some(1));
        assert_eq!(fails(&policies, Offline, &mut counts), None);
        let turned = RetryPolicies::from([plain(1), plain(9).on::<Limited>()]);
        assert_eq!(fails(&turned, Limited, &mut RetryCounts::default()), None);
    }

    #[test]
    fn each_budget_has_its_own_count_for_cap_and_exponent() {
        let policies = RetryPolicies::from([plain(4).on::<Limited>(), plain(3).on::<Offline>()]);
        let mut counts = RetryCounts::default();
        assert_eq!(fails(&policies, Limited, &mut counts), Some(1));
        assert_eq!(fails(&policies, Offline, &mut counts), Some(1));
        assert_eq!(fails(&policies, Limited, &mut counts), Some(2));
        assert_eq!(fails(&policies, Offline, &mut counts), Some(2));
        assert_eq!(fails(&policies, Limited, &mut counts), Some(4));
        assert_eq!(fails(&policies, Offline, &mut counts), None);
        assert_eq!(fails(&policies, Limited, &mut counts), None);
        let used = |name| counts.used(name);
        assert_eq!(used(std::any::type_name::<Limited>()), 4);
        assert_eq!(used(std::any::type_name::<Offline>()), 3);
    }

    #[test]
    fn what_nothing_covers_is_not_retried_and_counts_nothing() {
        let policies = RetryPolicies::from([plain(9).on::<Limited>(), plain(9).on_timeout()]);
        let mut counts = RetryCounts::default();
        assert_eq!(fails(&policies, Offline, &mut counts), None);
        assert_eq!(policies.decide(Cause::Panic, &mut counts, 0.0).delay, None);
        assert!(counts.is_empty());
        let timeout = policies.decide(Cause::Timeout, &mut counts, 0.0);
        assert_eq!(timeout.delay, Some(Duration::from_secs(1)));
        assert_eq!(&*counts.to_json(), r#"{"timeout":1}"#);
    }

    #[test]
    fn a_decision_tells_which_attempt_of_its_budget_has_failed() {
        let policies = RetryPolicies::from([plain(4).on::<Limited>(), plain(3).unlimited()]);
        let mut counts = RetryCounts::default();
        let mut tries = |error: anyhow::Error| {
            let decision = policies.decide(Cause::Error(&error), &mut counts, 0.0);
            decision.tries.map(|tries| tries.to_string())
        };
        assert_eq!(tries(Limited.into()).unwrap(), "1 of 4");
        assert_eq!(tries(Offline.into()).unwrap(), "1");
        assert_eq!(tries(Limited.into()).unwrap(), "2 of 4");
        let covers = RetryPolicies::from(plain(4).on::<Limited>());
        let decision = covers.decide(Cause::Panic, &mut RetryCounts::default(), 0.0);
        assert_eq!(decision.tries, None);
    }

    #[test]
    fn one_plain_policy_counts_everything_together() {
        let policies = RetryPolicies::from(plain(9));
        let mut counts = RetryCounts::default();
        assert_eq!(fails(&policies, Offline, &mut counts), Some(1));
        assert_eq!(fails(&policies, Limited, &mut counts), Some(2));
        let panic = policies.decide(Cause::Panic, &mut counts, 0.0);
        assert_eq!(panic.delay, Some(Duration::from_secs(4)));
        assert_eq!(&*counts.to_json(), r#"{"*":3}"#);
    }

    #[test]
    fn the_class_is_lent_by_the_first_type_whoever_decides() {
        let class = |policies: RetryPolicies, error: anyhow::Error| {
            let cause = Cause::Error(&error);
            policies
                .decide(cause, &mut RetryCounts::default(), 0.0)
                .class
        };
        let limited = Some(std::any::type_name::<Limited>());
        let by_type = plain(2).on::<Offline>().on::<Limited>();
        let error = || anyhow::Error::new(Limited).context("while calling");
        assert_eq!(class(by_type.clone().into(), error()), limited);
        let behind = [plain(2).when("any", |_| true), by_type];
        assert_eq!(class(behind.into(), error()), limited);
        assert_eq!(class(plain(2).into(), error()), None);
    }

    #[test]
    fn lists_are_made_of_one_of_several_and_of_a_vector() {
        assert_eq!(RetryPolicies::from(plain(1)).as_slice().len(), 1);
        assert_eq!(
            RetryPolicies::from([plain(1), plain(2)]).as_slice().len(),
            2
        );
        let vector = RetryPolicies::try_from(vec![plain(1), plain(2), plain(3)]).unwrap();
        assert_eq!(vector.as_slice().len(), 3);
        let empty = RetryPolicies::try_from(Vec::new()).unwrap_err();
        assert!(empty.to_string().contains("RetryPolicy::none()"), "{empty}");
    }
}
