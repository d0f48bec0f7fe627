//! When runs that are due at once have arrived: in order, whatever the clock says meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;

use crate::record::Due;

/// A second, in microseconds.
const JITTER: i64 = 1_000_000;

/// The latest arrival that this process has given out or found; one for all writers of a store.
#[derive(Clone, Debug)]
pub(in crate::store) struct Arrivals(Arc<State>);

#[derive(Debug)]
struct State {
    /// As it is stored.
    latest: AtomicI64,
    /// The clock as it was seen last, in microseconds.
    seen: AtomicI64,
    claims: AtomicU64,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self(Arc::new(State {
            latest: AtomicI64::new(i64::MIN),
            seen: AtomicI64::new(i64::MIN),
            claims: AtomicU64::new(0),
        }))
    }
}

impl Arrivals {
    /// An arrival that is in the database already.
    pub(in crate::store) fn found(&self, stored: i64) {
        self.0.latest.fetch_max(stored, Ordering::Relaxed);
    }

    /// Whether the clock was set back since it was seen last. Others may have let runs arrive before that, of which the
    /// database tells. Threads that took their instant a moment ago are no such thing.
    pub(in crate::store) fn has_leapt(&self, now: Timestamp) -> bool {
        let now = now.as_microsecond();
        let seen = self.0.seen.load(Ordering::Relaxed);
        if now >= seen || now >= seen.saturating_sub(JITTER) {
            self.0.seen.fetch_max(now, Ordering::Relaxed);
            return false;
        }
        self.0.seen.store(now, Ordering::Relaxed);
        true
    }

    /// What arrives now. A clock that was set back shows instants that are over: whoever arrives meanwhile is behind
    /// those who arrived before, a microsecond each.
    pub(in crate::store) fn at(&self, now: Timestamp) -> Now {
        let shown = Due::AtOnce { since: now }.to_micros();
        let next = |latest: i64| match latest > shown {
            true => latest.saturating_add(1),
            false => shown,
        };
        let before = self
            .0
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |latest| {
                Some(next(latest))
            });
        let due = next(before.unwrap_or_else(|latest| latest));
        Now { at: now, due }
    }

    /// Whether runs whose instant has come go before those at once in this claim, while a clock that was set back
    /// leaves nothing to compare them by: by turns.
    pub(in crate::store) fn turn(&self) -> bool {
        let claims = self.0.claims.fetch_add(1, Ordering::Relaxed);
        claims.is_multiple_of(2)
    }
}

/// The instant of a write, and what it leaves on runs that it makes due at once.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Now {
    pub(in crate::store) at: Timestamp,
    /// A run's `wake_at`, as microseconds since 1970.
    pub(in crate::store) due: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn arrivals_follow_the_clock_and_stay_in_order_when_it_is_set_back() {
        let arrivals = Arrivals::default();
        let due = |second| arrivals.at(at(second)).due;
        let since = |second| Due::AtOnce { since: at(second) }.to_micros();
        assert_eq!(
            [due(10), due(10), due(11)],
            [since(10), since(10), since(11)]
        );
        assert_eq!([due(5), due(6)], [since(11) + 1, since(11) + 2]);
        assert_eq!(due(12), since(12));
        arrivals.found(since(20));
        arrivals.found(since(3));
        assert_eq!(due(13), since(20) + 1);
    }
}
