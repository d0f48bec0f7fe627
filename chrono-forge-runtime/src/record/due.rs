//! When an idle run may begin: at once, or at an instant.
//!
//! "At once" is no instant: a clock that is set back must not make a run wait that never had a deadline. So it is
//! kept apart from every instant, below all that a clock shows, and still tells since when the run waits: the
//! instant of its arrival, 4,000 years earlier. One column and one index hold both kinds; what is at once comes first
//! there, in the order of arrival.

use jiff::Timestamp;

/// Ten cycles of the calendar, in microseconds: the same day and hour 4,000 years earlier.
const SHIFT: i64 = 1_460_970 * 86_400 * 1_000_000;

/// What is stored below this was at once: the beginning of year 0, in microseconds since 1970.
pub(crate) const FIRST_INSTANT: i64 = -62_167_219_200 * 1_000_000;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Whatever the clock says. `since` tells how long the run waits, and its place among others; after a clock was
    /// set back it may be ahead.
    AtOnce { since: Timestamp },
    /// Once the clock has reached this instant.
    At(Timestamp),
}

impl Due {
    /// Of what is stored, in microseconds since 1970.
    #[must_use]
    pub fn of_micros(micros: i64) -> Self {
        match micros < FIRST_INSTANT {
            true => Self::AtOnce {
                since: nearest(micros.saturating_add(SHIFT)),
            },
            false => Self::At(nearest(micros)),
        }
    }

    /// As it is stored, in microseconds since 1970. An instant is rounded up: nothing may become due before it.
    #[must_use]
    pub fn to_micros(self) -> i64 {
        match self {
            // Kept apart from instants for arrivals from year 0 to 3999.
            Self::AtOnce { since } => {
                let last = FIRST_INSTANT + SHIFT - 1;
                since.as_microsecond().clamp(FIRST_INSTANT, last) - SHIFT
            }
            Self::At(at) => {
                let micros = at.as_microsecond();
                let ahead = at.as_nanosecond() > i128::from(micros) * 1_000;
                (micros + i64::from(ahead)).max(FIRST_INSTANT)
            }
        }
    }

    /// Since when it is due, or will be.
    #[must_use]
    pub fn since(self) -> Timestamp {
        match self {
            Self::AtOnce { since } | Self::At(since) => since,
        }
    }

    /// Whether it is due when the clock shows this.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        match self {
            Self::AtOnce { .. } => true,
            Self::At(at) => at <= now,
        }
    }

    /// The instant that is waited for.
    #[must_use]
    pub fn instant(self) -> Option<Timestamp> {
        match self {
            Self::AtOnce { .. } => None,
            Self::At(at) => Some(at),
        }
    }
}

impl From<Timestamp> for Due {
    fn from(at: Timestamp) -> Self {
        Self::At(at)
    }
}

/// What no clock can have written reads as the nearest instant.
fn nearest(micros: i64) -> Timestamp {
    let end = match micros < 0 {
        true => Timestamp::MIN,
        false => Timestamp::MAX,
    };
    Timestamp::from_microsecond(micros).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn both_kinds_come_back_as_they_were_stored() {
        for text in [
            "2026-11-30T12:00:00.000001Z",
            "1970-01-01T00:00:00Z",
            "3999-12-31T23:59:59Z",
        ] {
            for due in [Due::AtOnce { since: at(text) }, Due::At(at(text))] {
                assert_eq!(Due::of_micros(due.to_micros()), due);
            }
        }
        let stored = Due::AtOnce {
            since: at("2026-11-30T12:00:00Z"),
        }
        .to_micros();
        let shown = Timestamp::from_microsecond(stored).unwrap();
        assert_eq!(shown, at("-001974-11-30T12:00:00Z"), "1975 BC");
    }

    #[test]
    fn at_once_is_below_every_instant_and_in_the_order_of_arrival() {
        let once = |since| Due::AtOnce { since }.to_micros();
        let first = once(Timestamp::MIN);
        let last = once(Timestamp::MAX);
        assert!(first <= once(at("2026-01-01T00:00:00Z")));
        assert!(once(at("2026-01-01T00:00:00Z")) < once(at("2026-01-01T00:00:00.000001Z")));
        assert!(last < Due::At(Timestamp::MIN).to_micros());
        // PostgreSQL's calendar begins in 4714 BC.
        assert!(first > -211_813_488_000_000_000);
        assert!(matches!(Due::of_micros(last), Due::AtOnce { .. }));
        assert!(matches!(Due::of_micros(i64::MIN), Due::AtOnce { .. }));
        assert_eq!(Due::of_micros(i64::MAX), Due::At(Timestamp::MAX));
    }

    #[test]
    fn instants_round_up_and_at_once_needs_no_clock() {
        let odd = Timestamp::from_nanosecond(1_000_001).unwrap();
        assert_eq!(Due::At(odd).to_micros(), 1_001);
        assert!(
            Due::AtOnce {
                since: Timestamp::MAX
            }
            .is_due(Timestamp::MIN)
        );
        assert!(!Due::At(odd).is_due(Timestamp::UNIX_EPOCH));
        assert!(Due::At(odd).is_due(odd));
    }
}
