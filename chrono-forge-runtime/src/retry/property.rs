//! Delays within their bounds, and lists of policies against a model that counts by hand.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{Cause, RetryPolicies, RetryPolicy};
use crate::record::RetryCounts;

/// What one policy of a list covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Covered {
    First,
    Second,
    Both,
    Quiet,
    Any,
}

/// What ends an attempt.
#[derive(Clone, Copy, Debug)]
enum End {
    First,
    Second,
    Other,
    Panic,
    Timeout,
}

#[derive(Debug, thiserror::Error)]
#[error("first")]
struct First;

#[derive(Debug, thiserror::Error)]
#[error("second")]
struct Second;

impl Covered {
    fn policy(self, attempts: Option<u32>) -> RetryPolicy {
        let policy = RetryPolicy::new()
            .jitter(false)
            .cap(Duration::from_secs(64));
        let policy = match attempts {
            Some(attempts) => policy.max_attempts(attempts),
            None => policy.unlimited(),
        };
        match self {
            Self::First => policy.on::<First>(),
            // A predicate, so that both ways of naming errors are met.
            Self::Second => policy.when("second", |error| error.is::<Second>()),
            Self::Both => policy.on::<Second>().on::<First>(),
            Self::Quiet => policy.on_timeout().on_panic(),
            Self::Any => policy,
        }
    }

    fn covers(self, end: End) -> bool {
        match self {
            Self::First => matches!(end, End::First),
            Self::Second => matches!(end, End::Second),
            Self::Both => matches!(end, End::First | End::Second),
            Self::Quiet => matches!(end, End::Panic | End::Timeout),
            Self::Any => true,
        }
    }
}

fn decide(policies: &RetryPolicies, end: End, counts: &mut RetryCounts) -> Option<Duration> {
    let error = match end {
        End::First => anyhow::Error::new(First).context("while calling"),
        End::Second => anyhow::Error::new(Second),
        _ => anyhow::anyhow!("other"),
    };
    let cause = match end {
        End::Panic => Cause::Panic,
        End::Timeout => Cause::Timeout,
        _ => Cause::Error(&error),
    };
    policies.decide(cause, counts, 0.0).delay
}

/// A policy's place in the order of one deploy, what it covers, and its attempts.
type Listed = (usize, Covered, Option<u32>);

fn lists() -> impl Strategy<Value = Vec<Listed>> {
    let covered = prop_oneof![
        Just(Covered::First),
        Just(Covered::Second),
        Just(Covered::Both),
        Just(Covered::Quiet),
        Just(Covered::Any),
    ];
    let attempts = prop_oneof![3 => (0..6_u32).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((any::<usize>(), covered, attempts), 1..5).prop_map(|mut list| {
        // One policy for each budget: two of one name share their count.
        let mut seen = Vec::new();
        list.retain(|(_, covered, _)| {
            let is_new = !seen.contains(covered);
            seen.push(*covered);
            is_new
        });
        list
    })
}

fn ends() -> impl Strategy<Value = Vec<(End, bool, usize)>> {
    let end = prop_oneof![
        3 => Just(End::First),
        3 => Just(End::Second),
        1 => Just(End::Other),
        1 => Just(End::Panic),
        1 => Just(End::Timeout),
    ];
    prop::collection::vec((end, any::<bool>(), any::<usize>()), 0..40)
}

/// What the model says: the delay after this failure, by counts of its own.
fn expected(list: &[Listed], end: End, failures: &mut HashMap<Covered, u32>) -> Option<Duration> {
    let (_, covered, attempts) = list.iter().find(|(_, covered, _)| covered.covers(end))?;
    let failed = failures.entry(*covered).or_default();
    *failed += 1;
    let goes_on = attempts.is_none_or(|attempts| *failed < attempts);
    goes_on.then(|| Duration::from_secs(1 << (*failed - 1).min(6)))
}

proptest! {
    #[test]
    fn a_delay_is_in_the_upper_half_of_its_ceiling(
        base in any::<u64>(), cap in any::<u64>(), failures in any::<u32>(), spread in 0.0..1.0,
    ) {
        let policy = RetryPolicy::new()
            .unlimited()
            .base(Duration::from_nanos(base))
            .cap(Duration::from_nanos(cap));
        let ceiling = policy.ceiling_after(failures);
        let delay = policy.delay_after(failures, spread).unwrap();
        prop_assert!(ceiling / 2 <= delay && delay <= ceiling, "{delay:?} of {ceiling:?}");
        prop_assert_eq!(policy.clone().jitter(false).delay_after(failures, spread), Some(ceiling));
        prop_assert!(ceiling <= Duration::from_nanos(cap));
    }

    #[test]
    fn a_ceiling_is_the_base_doubled_after_each_failure_up_to_the_cap(
        base in any::<u64>(), cap in any::<u64>(), failures in 0..100_u32,
    ) {
        let (base, cap) = (u128::from(base), u128::from(cap));
        let policy = RetryPolicy::new()
            .base(Duration::from_nanos(base as u64))
            .cap(Duration::from_nanos(cap as u64));
        // Sixty-four doublings of a nanosecond pass every cap that is tried here.
        let doubled = base << failures.saturating_sub(1).min(64);
        prop_assert_eq!(policy.ceiling_after(failures).as_nanos(), doubled.min(cap));
        prop_assert!(policy.ceiling_after(failures) <= policy.ceiling_after(failures + 1));
    }

    #[test]
    fn nothing_overflows(
        base in any::<(u64, u32)>(), cap in any::<(u64, u32)>(), spread in any::<f64>(),
        failures in prop_oneof![Just(0), Just(1 << 31), Just(u32::MAX), any::<u32>()],
    ) {
        let span = |(secs, nanos): (u64, u32)| Duration::new(secs, nanos % 1_000_000_000);
        let policy = RetryPolicy::new().unlimited().base(span(base)).cap(span(cap));
        let delay = policy.delay_after(failures, spread).unwrap();
        prop_assert!(delay <= span(cap));
    }

    /// Restarts (the counts go through their text) and deploys that turn the list round change
    /// nothing, except which of two policies that cover a failure is the first.
    #[test]
    fn budgets_are_independent_whatever_is_between_two_failures(
        mut list in lists(), ends in ends(),
    ) {
        let mut counts = RetryCounts::default();
        let mut failures = HashMap::new();
        for (end, restarts, turn) in ends {
            if restarts {
                counts = RetryCounts::of_text(&counts.to_json());
                list.sort_by_key(|(place, ..)| place.wrapping_mul(turn | 1));
            }
            let policies: Vec<RetryPolicy> = list
                .iter()
                .map(|(_, covered, attempts)| covered.policy(*attempts))
                .collect();
            let policies = RetryPolicies::try_from(policies).unwrap();
            let delay = decide(&policies, end, &mut counts);
            // Zero attempts mean one.
            prop_assert_eq!(delay, expected(&list, end, &mut failures));
        }
        for (covered, failed) in failures {
            let policy = covered.policy(None);
            prop_assert_eq!(counts.used(&policy.budget()), failed);
        }
    }
}
