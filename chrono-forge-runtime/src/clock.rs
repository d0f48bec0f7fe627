//! What time it is, as the engine asks it.
//!
//! Deadlines, retries and instants in rows follow the [`Clock`]; liveness (heartbeats, leases)
//! always follows real time, since it is about processes and not about workflows. Real time is the host's, or,
//! where hosts share a database that has a clock, the [`database`]'s.

pub mod database;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A source of time for workflows. Tests move one by hand; see `testing::ManualClock`.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Completes once [`Clock::now`] has reached `deadline`.
    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Whether its time has nothing to do with real time, as that of a test. Spans follow such a clock wherever it is
    /// moved; those of any other go on when it is set.
    fn is_virtual(&self) -> bool {
        false
    }

    /// Told at `open` of each engine that follows this clock. What it answers runs as a part of the engine.
    #[doc(hidden)]
    fn lead(&self, engine: Arc<dyn Follower>) -> Option<Soon<'static, ()>> {
        let _ = engine;
        None
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        (**self).sleep_until(deadline)
    }

    fn is_virtual(&self) -> bool {
        (**self).is_virtual()
    }

    fn lead(&self, engine: Arc<dyn Follower>) -> Option<Soon<'static, ()>> {
        (**self).lead(engine)
    }
}

/// What a trait object answers later.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An engine as its clock sees it: a clock of tests moves on when nothing is left to do at its instant.
pub trait Follower: Send + Sync {
    /// Waits until everything that can run has run; `None` once the engine is over.
    fn settled(&self) -> Soon<'_, Option<Lull>>;

    /// Waits until somebody awaits the result of a run.
    fn awaited(&self) -> Soon<'_, ()>;

    /// Whether a run whose result is awaited has none yet.
    fn is_kept_waiting(&self) -> Soon<'_, bool>;

    /// Whether there is no such engine any more.
    fn is_gone(&self) -> bool;
}

/// Nothing is left to do at an instant.
#[derive(Clone, Copy, Debug)]
pub struct Lull {
    /// The next instant that a run waits for.
    pub next: Option<Timestamp>,
    /// It was so at the first look.
    pub at_once: bool,
}

/// The host's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(sleep_until(|| self.now(), deadline))
    }
}

/// Sleeps until a clock that may be set shows this. It looks again after each sleep, since the clock may have
/// been set back meanwhile; short ones, so that a clock that is set forward is noticed too.
async fn sleep_until(now: impl Fn() -> Timestamp, deadline: Timestamp) {
    loop {
        let left = until(now(), deadline);
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLEEP_MAX)).await;
    }
}

/// How long one sleep trusts the wall clock.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// An instant to measure from on a clock that nobody can set and that counts suspend, where the system has one; the
/// monotonic clock of the others.
#[derive(Clone, Copy, Debug)]
pub struct Moment(Duration);

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        Self(since_boot())
    }

    /// How long it is ago.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        since_boot().saturating_sub(self.0)
    }
}

/// A [`Moment`] that threads share, if there is one.
#[derive(Debug)]
pub struct SharedMoment(AtomicU64);

impl SharedMoment {
    /// No nanosecond since boot: 584 years.
    const NONE: u64 = u64::MAX;

    /// None yet.
    #[must_use]
    pub const fn none() -> Self {
        Self(AtomicU64::new(Self::NONE))
    }

    /// Takes the place of what was there.
    pub fn set(&self, moment: Option<Moment>) {
        let nanos = moment.map_or(Self::NONE, |Moment(since)| {
            u64::try_from(since.as_nanos()).unwrap_or(Self::NONE)
        });
        self.0.store(nanos, Ordering::SeqCst);
    }

    /// What is there.
    #[must_use]
    pub fn get(&self) -> Option<Moment> {
        let nanos = self.0.load(Ordering::SeqCst);
        (nanos != Self::NONE).then(|| Moment(Duration::from_nanos(nanos)))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither is ever negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn since_boot() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGUN.elapsed()
}

/// The time from `now` to `deadline`, zero once it has passed.
#[must_use]
pub fn until(now: Timestamp, deadline: Timestamp) -> Duration {
    Duration::try_from(deadline.duration_since(now)).unwrap_or_default()
}

/// `instant` plus `span`, at the end of time when it does not fit.
#[must_use]
pub fn after(instant: Timestamp, span: Duration) -> Timestamp {
    instant.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// Rounded up to whole microseconds, so that nothing that is stored wakes early.
#[must_use]
pub fn ceil_to_micros(instant: Timestamp) -> Timestamp {
    let floor = instant.as_microsecond();
    let exact = instant.subsec_nanosecond() % 1_000 == 0;
    Timestamp::from_microsecond(if exact {
        floor
    } else {
        floor.saturating_add(1)
    })
    .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stop_at_the_end_of_time() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(after(now, Duration::MAX), Timestamp::MAX);
        assert_eq!(
            until(now, after(now, Duration::from_secs(3))),
            Duration::from_secs(3)
        );
        assert_eq!(
            until(after(now, Duration::from_secs(3)), now),
            Duration::ZERO
        );
    }

    #[test]
    fn stored_instants_round_up() {
        let odd = Timestamp::new(1, 1_001).unwrap();
        assert_eq!(ceil_to_micros(odd), Timestamp::new(1, 2_000).unwrap());
        let even = Timestamp::new(1, 2_000).unwrap();
        assert_eq!(ceil_to_micros(even), even);
    }
}
