//! When a failed attempt is tried again. Pure: no clock, no I/O; randomness comes in.

use std::time::Duration;

/// How often an attempt is repeated and how long to wait between attempts.
///
/// The delay before attempt *n + 1* is `base * 2^(n - 1)`, at most `cap`; with jitter it is drawn
/// evenly from the upper half of that, so that failures that came together do not return together.
///
/// ```
/// use std::time::Duration;
/// use chrono_forge_runtime::retry::RetryPolicy;
///
/// let policy = RetryPolicy::new().max_attempts(5).base(Duration::from_secs(2)).jitter(false);
/// assert_eq!(policy.delay_after(1, 0.0), Some(Duration::from_secs(2)));
/// assert_eq!(policy.delay_after(4, 0.0), Some(Duration::from_secs(16)));
/// assert_eq!(policy.delay_after(5, 0.0), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    max_attempts: Option<u32>,
    base: Duration,
    cap: Duration,
    jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryPolicy {
    /// The policy of a step that names none: 3 attempts, 1 s base, 30 s cap, with jitter.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_attempts: Some(3),
            base: Duration::from_secs(1),
            cap: Duration::from_secs(30),
            jitter: true,
        }
    }

    /// The policy of a workflow body that names none: 10 attempts, 1 s base, 600 s cap, with jitter.
    #[must_use]
    pub const fn workflow() -> Self {
        Self {
            max_attempts: Some(10),
            cap: Duration::from_secs(600),
            ..Self::new()
        }
    }

    /// One attempt, no retry.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            max_attempts: Some(1),
            ..Self::new()
        }
    }

    /// Attempts in all, the first included. Zero means one.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(if attempts == 0 { 1 } else { attempts });
        self
    }

    /// Tries until it succeeds.
    #[must_use]
    pub const fn unlimited(mut self) -> Self {
        self.max_attempts = None;
        self
    }

    /// The delay after the first failure.
    #[must_use]
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// The longest delay.
    #[must_use]
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Whether delays are spread.
    #[must_use]
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long to wait after `failures` failed attempts of this budget, or `None` to give up.
    /// `spread` in `[0, 1)` picks the point in the jitter band.
    #[must_use]
    pub fn delay_after(&self, failures: u32, spread: f64) -> Option<Duration> {
        if self.max_attempts.is_some_and(|max| failures >= max) {
            return None;
        }
        let ceiling = self.ceiling_after(failures);
        if !self.jitter {
            return Some(ceiling);
        }
        let half = ceiling / 2;
        Some(half + (ceiling - half).mul_f64(spread.clamp(0.0, 1.0)))
    }

    /// The longest delay that may follow `failures` failures.
    #[must_use]
    pub fn ceiling_after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1);
        // 2^32 times any base over a nanosecond exceeds every sensible cap; beyond that the factor
        // no longer fits a u32 and the cap decides.
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.base
            .checked_mul(factor)
            .map_or(self.cap, |delay| delay.min(self.cap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let policy = RetryPolicy::new().max_attempts(200).jitter(false);
        let seconds: Vec<u64> = [1, 2, 3, 4, 10, 100]
            .map(|n| policy.delay_after(n, 0.0).unwrap().as_secs())
            .to_vec();
        assert_eq!(seconds, [1, 2, 4, 8, 30, 30]);
    }

    #[test]
    fn jitter_stays_in_the_upper_half() {
        let policy = RetryPolicy::new()
            .max_attempts(9)
            .cap(Duration::from_secs(1_000));
        for step in 0..50 {
            let delay = policy.delay_after(4, f64::from(step) / 50.0).unwrap();
            assert!((4.0..=8.0).contains(&delay.as_secs_f64()), "{delay:?}");
        }
    }

    #[test]
    fn nothing_overflows_at_huge_attempt_numbers() {
        let policy = RetryPolicy::new().unlimited().jitter(false);
        assert_eq!(
            policy.delay_after(1 << 31, 0.0),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            policy.delay_after(u32::MAX, 0.0),
            Some(Duration::from_secs(30))
        );
    }

    #[test]
    fn budgets_count_the_first_attempt() {
        assert_eq!(RetryPolicy::none().delay_after(1, 0.0), None);
        assert!(RetryPolicy::new().delay_after(2, 0.0).is_some());
        assert_eq!(RetryPolicy::new().delay_after(3, 0.0), None);
        assert_eq!(RetryPolicy::new().max_attempts(0).delay_after(1, 0.0), None);
    }
}
