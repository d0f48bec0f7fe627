//! Ticks a fixed duration apart.

use std::time::Duration;

use jiff::Timestamp;

use super::{Passed, ScheduleError};

const NANOS_PER_MICRO: i128 = 1_000;
const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// The least distance of two ticks.
const NANOS_MIN: i128 = 1_000_000;

/// Tick *n* is `n * nanos` after the anchor. All arithmetic is exact: time from end to end is less than
/// 2^69 nanoseconds, so that nothing here comes near the limits of an `i128`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed {
    nanos: i128,
}

impl Fixed {
    /// Refuses less than a millisecond.
    pub(super) fn new(nanos: i128) -> Result<Self, ScheduleError> {
        if nanos < NANOS_MIN {
            let every = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
            return Err(ScheduleError::TooOften { every });
        }
        Ok(Self { nanos })
    }

    pub(super) fn is_below_a_second(self) -> bool {
        self.nanos < NANOS_PER_SECOND
    }

    pub(super) fn next_after(self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        self.tick(anchor, self.number_after(anchor, after))
    }

    pub(super) fn passed(
        self,
        anchor: Timestamp,
        after: Timestamp,
        cutoff: Timestamp,
    ) -> Option<Passed> {
        let first = self.number_after(anchor, after);
        // A tick is whole microseconds, so it lies before the cutoff if it does before the next whole one.
        let end = -(-cutoff.as_nanosecond()).div_euclid(NANOS_PER_MICRO) * NANOS_PER_MICRO;
        let last = ceil_div(end - anchor.as_nanosecond(), self.nanos) - 1;
        if last < first {
            return None;
        }
        Some(Passed {
            count: u64::try_from(last - first + 1).ok()?,
            first: self.tick(anchor, first)?,
            last: self.tick(anchor, last)?,
        })
    }

    /// The number of the first tick after `after`: not negative, since the anchor is the first of all.
    fn number_after(self, anchor: Timestamp, after: Timestamp) -> i128 {
        // Rounded down a tick is later than `after` once it reaches the next whole microsecond.
        let next = (after.as_nanosecond().div_euclid(NANOS_PER_MICRO) + 1) * NANOS_PER_MICRO;
        ceil_div(next - anchor.as_nanosecond(), self.nanos).max(0)
    }

    fn tick(self, anchor: Timestamp, number: i128) -> Option<Timestamp> {
        let exact = anchor.as_nanosecond() + number.checked_mul(self.nanos)?;
        let micros = exact.div_euclid(NANOS_PER_MICRO);
        Timestamp::from_nanosecond(micros * NANOS_PER_MICRO).ok()
    }
}

fn ceil_div(value: i128, by: i128) -> i128 {
    -(-value).div_euclid(by)
}
