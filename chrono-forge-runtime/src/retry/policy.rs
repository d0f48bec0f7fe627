//! One policy: attempts, delays, and what it covers.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::filter::{Cause, Filter};

/// How often an attempt is repeated, how long to wait between attempts, and after which failures.
///
/// The delay before attempt *n + 1* is `base * 2^(n - 1)`, at most `cap`; with jitter it is drawn
/// evenly from the upper half of that, so that failures that came together do not return together.
/// A `base` above the cap that a policy has by itself (30 s, or 600 s of a body) raises that cap; a cap
/// that is given holds, whatever the base.
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
///
/// A policy covers every failure, panics and attempts that ran out of time included, until it names
/// what it covers: with [`on`](Self::on), [`when`](Self::when), [`on_panic`](Self::on_panic) or
/// [`on_timeout`](Self::on_timeout) it covers what they name and nothing else. A failure that is not
/// covered is not tried again.
///
/// ```
/// use std::time::Duration;
/// use chrono_forge_runtime::retry::RetryPolicy;
///
/// const PATIENT: RetryPolicy = RetryPolicy::new().max_attempts(20).cap(Duration::from_secs(600));
/// let policy = PATIENT.on::<std::io::Error>().on_timeout();
/// assert_eq!(policy.budget(), "std::io::error::Error,timeout");
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    max_attempts: Option<u32>,
    base: Duration,
    cap: Duration,
    /// The cap was given; else the base may be above it.
    is_capped: bool,
    jitter: bool,
    /// `None` covers everything. Shared, so that a clone allocates nothing.
    filter: Option<Arc<Filter>>,
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
            is_capped: false,
            jitter: true,
            filter: None,
        }
    }

    /// The policy of a workflow body that names none: 10 attempts, 1 s base, 600 s cap, with jitter.
    #[must_use]
    pub const fn workflow() -> Self {
        let mut policy = Self::new().max_attempts(10);
        policy.cap = Duration::from_secs(600);
        policy
    }

    /// One attempt, no retry.
    #[must_use]
    pub const fn none() -> Self {
        Self::new().max_attempts(1)
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

    /// The delay after the first failure, unless a [`cap`](Self::cap) that is given is shorter.
    #[must_use]
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// The longest delay, the first one included.
    #[must_use]
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self.is_capped = true;
        self
    }

    /// Whether delays are spread.
    #[must_use]
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// Covers errors of this type only; call it again for more types.
    ///
    /// An error is covered when it is an `E`, was given one as its `anyhow` context, or has one in its
    /// chain of causes. A wrapper under `#[error(transparent)]` passes over the error inside it: the
    /// chain goes on with that error's own cause. Name the wrapper's type, or look inside it with
    /// [`when`](Self::when).
    ///
    /// The type's name, with its module, names the budget: renaming or moving the type starts a new
    /// one in runs that are waiting for their next attempt.
    #[must_use]
    pub fn on<E: Error + Send + Sync + 'static>(self) -> Self {
        self.covering(Filter::on::<E>)
    }

    /// Covers attempts that ran out of time, beside what else is named.
    #[must_use]
    pub fn on_timeout(self) -> Self {
        self.covering(Filter::on_timeout)
    }

    /// Covers attempts that panicked, beside what else is named.
    #[must_use]
    pub fn on_panic(self) -> Self {
        self.covering(Filter::on_panic)
    }

    /// Covers errors that a predicate accepts, beside what else is named.
    ///
    /// `name` names the budget, so it must stay the same as long as runs wait for their next attempt,
    /// differ from other predicates', and be neither `*`, `panic` nor `timeout`. The predicate is asked
    /// once an attempt has failed, more than once maybe; it must not block.
    ///
    /// ```
    /// use chrono_forge_runtime::retry::{Cause, RetryPolicies, RetryPolicy};
    /// use std::io::ErrorKind;
    ///
    /// let busy = RetryPolicy::new().when("busy", |error| {
    ///     let io = error.downcast_ref::<std::io::Error>();
    ///     io.is_some_and(|io| io.kind() == ErrorKind::ResourceBusy)
    /// });
    /// assert_eq!(busy.budget(), "busy");
    /// let gone = anyhow::Error::new(std::io::Error::from(ErrorKind::NotFound));
    /// let decision = RetryPolicies::from(busy).decide(Cause::Error(&gone), &mut Default::default(), 0.0);
    /// assert_eq!(decision.delay, None);
    /// ```
    #[must_use]
    pub fn when(
        self,
        name: &'static str,
        accepts: impl Fn(&anyhow::Error) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.covering(|filter| filter.when(name, accepts))
    }

    fn covering(mut self, add: impl FnOnce(&mut Filter)) -> Self {
        add(Arc::make_mut(self.filter.get_or_insert_default()));
        self
    }

    /// Whether it decides about attempts that end like this.
    pub(super) fn covers(&self, cause: Cause<'_>) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.covers(cause))
    }

    /// Attempts in all; `None` where there is no end to them.
    pub(super) fn attempts_max(&self) -> Option<u32> {
        self.max_attempts
    }

    /// The name that one of its types lends to an error whose own type is erased.
    pub(super) fn class_of(&self, error: &anyhow::Error) -> Option<&'static str> {
        self.filter.as_ref()?.class_of(error)
    }

    /// The name under which failures are counted: `*` for a policy that covers everything, else what
    /// it names, sorted and joined with `,`.
    #[must_use]
    pub fn budget(&self) -> Cow<'_, str> {
        match &self.filter {
            None => Cow::Borrowed("*"),
            Some(filter) => Cow::Owned(filter.budget()),
        }
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
        // Not a number is no place in the band, and would panic below.
        let spread = if spread.is_nan() { 0.0 } else { spread };
        let drawn = (ceiling - half).mul_f64(spread.clamp(0.0, 1.0));
        Some(half.saturating_add(drawn).min(ceiling))
    }

    /// The longest delay that may follow `failures` failures.
    #[must_use]
    pub fn ceiling_after(&self, failures: u32) -> Duration {
        // Whoever asks for a base of two hours, and for no cap, means the two hours.
        let cap = match self.is_capped {
            true => self.cap,
            false => self.cap.max(self.base),
        };
        let mut ceiling = self.base.min(cap);
        // Ends after at most a hundred doublings, however many failures there are.
        for _ in 1..failures {
            if ceiling.is_zero() || ceiling == cap {
                break;
            }
            ceiling = ceiling.saturating_mul(2).min(cap);
        }
        ceiling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("a")]
    struct A;

    #[derive(Debug, thiserror::Error)]
    #[error("b")]
    struct B(#[source] A);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Transparent(#[from] A);

    fn covers(policy: &RetryPolicy, error: impl Into<anyhow::Error>) -> bool {
        policy.covers(Cause::Error(&error.into()))
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let policy = RetryPolicy::new().max_attempts(200).jitter(false);
        let seconds: Vec<u64> = [0, 1, 2, 3, 4, 10, 100]
            .map(|n| policy.delay_after(n, 0.0).unwrap().as_secs())
            .to_vec();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 30, 30]);
        let five = policy.base(Duration::from_secs(5));
        assert_eq!(five.ceiling_after(1).as_secs(), 5);
        assert_eq!(five.ceiling_after(2).as_secs(), 10);
    }

    #[test]
    fn a_base_above_the_cap_that_nobody_gave_is_waited_for_in_full() {
        let hour = Duration::from_secs(3_600);
        let policy = RetryPolicy::new().unlimited().jitter(false);
        for policy in [
            policy.clone().base(2 * hour),
            RetryPolicy::workflow().jitter(false).base(2 * hour),
        ] {
            for failures in 1..=5 {
                assert_eq!(policy.delay_after(failures, 0.0), Some(2 * hour));
            }
        }
        for capped in [
            policy.clone().base(2 * hour).cap(hour),
            policy.clone().cap(hour).base(2 * hour),
        ] {
            assert_eq!(capped.delay_after(3, 0.0), Some(hour));
        }
        let spread = RetryPolicy::new().base(2 * hour);
        assert!(spread.delay_after(1, 0.0).unwrap() >= hour);
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
    fn a_tiny_base_reaches_a_large_cap() {
        let policy = RetryPolicy::new()
            .base(Duration::from_nanos(1))
            .cap(Duration::from_secs(600));
        assert_eq!(policy.ceiling_after(64), Duration::from_secs(600));
    }

    #[test]
    fn nothing_overflows_at_huge_numbers() {
        let policy = RetryPolicy::new().unlimited();
        for failures in [1 << 31, u32::MAX] {
            let delay = policy.delay_after(failures, f64::NAN);
            assert_eq!(delay, Some(Duration::from_secs(15)));
        }
        let endless = policy.cap(Duration::MAX);
        assert_eq!(endless.delay_after(u32::MAX, 1.0), Some(Duration::MAX));
        let at_once = endless.base(Duration::ZERO);
        assert_eq!(at_once.delay_after(u32::MAX, 1.0), Some(Duration::ZERO));
    }

    #[test]
    fn budgets_count_the_first_attempt() {
        assert_eq!(RetryPolicy::none().delay_after(1, 0.0), None);
        assert!(RetryPolicy::new().delay_after(2, 0.0).is_some());
        assert_eq!(RetryPolicy::new().delay_after(3, 0.0), None);
        assert_eq!(RetryPolicy::new().delay_after(4, 0.0), None);
        assert_eq!(RetryPolicy::new().max_attempts(0).delay_after(1, 0.0), None);
        let unlimited = RetryPolicy::new().unlimited();
        assert!(unlimited.delay_after(1_000_000, 0.0).is_some());
    }

    #[test]
    fn the_defaults_of_a_step_and_of_a_body_differ_in_attempts_and_cap() {
        let (step, body) = (RetryPolicy::new(), RetryPolicy::workflow());
        assert!(step.delay_after(2, 0.0).is_some() && step.delay_after(3, 0.0).is_none());
        assert!(body.delay_after(9, 0.0).is_some() && body.delay_after(10, 0.0).is_none());
        assert_eq!(step.ceiling_after(50).as_secs(), 30);
        assert_eq!(body.ceiling_after(50).as_secs(), 600);
        assert_eq!((step.budget(), body.budget()), ("*".into(), "*".into()));
    }

    #[test]
    fn without_names_everything_is_covered_and_with_names_only_what_they_say() {
        let any = RetryPolicy::new();
        let only_a = RetryPolicy::new().on::<A>();
        let silent = RetryPolicy::new().on_panic().on_timeout();
        let both = only_a.clone().on_timeout();
        assert!(covers(&any, A) && covers(&only_a, A) && covers(&both, A));
        assert!(!covers(&silent, A));
        assert!(!covers(&only_a, anyhow::anyhow!("a")));
        let quiet = [Cause::Panic, Cause::Timeout];
        let covered = |policy: &RetryPolicy| quiet.map(|cause| policy.covers(cause));
        assert_eq!(covered(&any), [true, true]);
        assert_eq!(covered(&only_a), [false, false]);
        assert_eq!(covered(&silent), [true, true]);
        assert_eq!(covered(&both), [false, true]);
    }

    #[test]
    fn a_type_is_found_as_the_error_as_a_context_and_among_the_causes() {
        let on_a = RetryPolicy::new().on::<A>();
        assert!(covers(&on_a, A));
        assert!(covers(&on_a, anyhow::Error::new(A).context("while paying")));
        assert!(covers(&on_a, anyhow::anyhow!("paying").context(A)));
        assert!(covers(&on_a, B(A)));
        assert!(covers(&on_a, anyhow::Error::new(B(A)).context("late")));
        assert!(!covers(&RetryPolicy::new().on::<B>(), A));
    }

    #[test]
    fn a_transparent_wrapper_hides_its_type_but_not_from_a_predicate() {
        assert!(!covers(&RetryPolicy::new().on::<A>(), Transparent(A)));
        assert!(covers(
            &RetryPolicy::new().on::<Transparent>(),
            Transparent(A)
        ));
        let inside = RetryPolicy::new().when("a", |error| {
            error
                .downcast_ref::<Transparent>()
                .is_some_and(|it| matches!(it.0, A))
        });
        assert!(covers(&inside, Transparent(A)) && !covers(&inside, A));
    }

    #[test]
    fn a_budget_has_the_names_sorted_each_once() {
        let one = RetryPolicy::new()
            .on::<B>()
            .on_timeout()
            .on::<A>()
            .on::<B>();
        let other = RetryPolicy::new().on::<A>().on::<B>().on_timeout();
        assert_eq!(one.budget(), other.budget());
        let (a, b) = (std::any::type_name::<A>(), std::any::type_name::<B>());
        assert_eq!(one.budget(), format!("{a},{b},timeout"));
        assert_eq!(RetryPolicy::new().when("5xx", |_| true).budget(), "5xx");
    }

    #[test]
    fn naming_more_leaves_clones_as_they_are() {
        let on_a = RetryPolicy::new().on::<A>();
        let more = on_a.clone().on_panic();
        assert!(!on_a.covers(Cause::Panic) && more.covers(Cause::Panic));
        assert!(format!("{more:?}").contains("panic"), "{more:?}");
    }
}
