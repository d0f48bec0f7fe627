//! The clock of a database that several hosts share: its instants on this host's monotonic clock.
//!
//! Hosts disagree about what time it is, and a host's wall clock may jump. So a process asks the database now
//! and then, and in between adds what its monotonic clock says: a jump of the wall clock changes nothing, and
//! what hosts disagree by is about half of a round trip.
//!
//! ```text
//! a sample says   [ answer + round trip / 2, give or take round trip / 2 ]
//! we believe      [ reading, give or take error + drift since the last sample ]
//! ```
//!
//! A sample is taken if it knows better (it is narrower) or proves us wrong (they do not overlap, as after a
//! suspend, which the monotonic clock does not count). A slow round trip therefore disturbs nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Clock, after, sleep_until, until};

/// How far two quartzes may drift apart, in parts per million; ordinary ones stay below 100.
const DRIFT_PPM: u32 = 200;

/// A correction backwards up to this much is waited out, so that no instant comes twice. A larger one means
/// that the database's clock itself was set, and everybody follows it.
const STANDSTILL_MAX: Duration = Duration::from_secs(1);

/// One answer of the database, with the instants around it.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What the database said.
    pub at: Timestamp,
    /// Before it was asked.
    pub asked: Instant,
    /// After it had answered.
    pub answered: Instant,
}

impl Sample {
    /// What the database's clock shows when the answer is here.
    fn reading(&self) -> Timestamp {
        after(self.at, self.error())
    }

    /// How far that may be off.
    fn error(&self) -> Duration {
        self.answered.saturating_duration_since(self.asked) / 2
    }
}

/// See the module.
#[derive(Debug)]
pub struct DatabaseClock {
    belief: Mutex<Belief>,
}

#[derive(Clone, Copy, Debug)]
struct Belief {
    reading: Timestamp,
    at: Instant,
    error: Duration,
    /// The clock stands here until it would show more.
    floor: Timestamp,
}

impl Belief {
    fn of(sample: &Sample, floor: Timestamp) -> Self {
        Self {
            reading: sample.reading(),
            at: sample.answered,
            error: sample.error(),
            floor,
        }
    }

    fn reading(&self, now: Instant) -> Timestamp {
        after(self.reading, now.saturating_duration_since(self.at))
    }

    fn error(&self, now: Instant) -> Duration {
        self.error + now.saturating_duration_since(self.at) / 1_000_000 * DRIFT_PPM
    }

    fn shown(&self, now: Instant) -> Timestamp {
        self.reading(now).max(self.floor)
    }
}

impl DatabaseClock {
    /// A clock that believes this sample.
    #[must_use]
    pub fn new(sample: &Sample) -> Self {
        Self {
            belief: Mutex::new(Belief::of(sample, sample.at)),
        }
    }

    /// Takes a sample if it is worth it; answers whether it was.
    pub fn correct(&self, sample: &Sample) -> bool {
        let mut belief = self.lock();
        let now = sample.answered;
        let (ours, theirs) = (belief.reading(now), sample.reading());
        let apart = until(ours, theirs).max(until(theirs, ours));
        let proves_us_wrong = apart > belief.error(now) + sample.error();
        if sample.error() >= belief.error(now) && !proves_us_wrong {
            return false;
        }
        let shown = belief.shown(now);
        let floor = match until(theirs, shown) <= STANDSTILL_MAX {
            true => shown,
            false => theirs,
        };
        *belief = Belief::of(sample, floor);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Belief> {
        self.belief.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        self.lock().shown(Instant::now())
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(sleep_until(|| self.now(), deadline))
    }
}

#[cfg(test)]
mod tests;
