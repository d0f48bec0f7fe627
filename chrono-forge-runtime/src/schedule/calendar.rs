//! Ticks a calendar span apart, at a time of day of a zone.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::{Passed, ScheduleError};

const NANOS_PER_MICRO: i128 = 1_000;
const NANOS_PER_DAY: i128 = 86_400_000_000_000;
/// More ticks than this do not fit between the ends of time: two are at least a day apart.
const TICKS_MAX: i64 = 7_400_000;

/// A span by what it means: months differ in length, days differ where clocks are changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stride {
    months: i64,
    days: i64,
    /// What is left below a day.
    pub(super) nanos: i128,
}

impl Stride {
    /// Refuses what does not lead forward. (A span has one sign for all of its units.)
    pub(super) fn new(span: Span) -> Result<Self, ScheduleError> {
        if !span.is_positive() {
            let span = span.to_string();
            return Err(ScheduleError::Backward { span });
        }
        let minutes = i128::from(span.get_hours()) * 60 + i128::from(span.get_minutes());
        let seconds = minutes * 60 + i128::from(span.get_seconds());
        let millis = seconds * 1_000 + i128::from(span.get_milliseconds());
        let micros = millis * 1_000 + i128::from(span.get_microseconds());
        Ok(Self {
            months: i64::from(span.get_years()) * 12 + i64::from(span.get_months()),
            days: i64::from(span.get_weeks()) * 7 + i64::from(span.get_days()),
            nanos: micros * 1_000 + i128::from(span.get_nanoseconds()),
        })
    }

    /// Whether there is no calendar in it.
    pub(super) fn is_time_only(self) -> bool {
        self.months == 0 && self.days == 0
    }

    /// The time on the wall `number` strides after `from`; `None` past the end of the calendar.
    fn after(self, from: DateTime, number: i64) -> Option<DateTime> {
        let months = Span::new()
            .try_months(self.months.checked_mul(number)?)
            .ok()?;
        let date = from.date().checked_add(months).ok()?;
        // Days apart from the time of day: a single duration cannot span the calendar.
        let stride = i128::from(self.days) * NANOS_PER_DAY + self.nanos;
        let midnight = Time::midnight();
        let nanos = from.time().duration_since(midnight).as_nanos()
            + stride.checked_mul(i128::from(number))?;
        let days = i64::try_from(nanos.div_euclid(NANOS_PER_DAY)).ok()?;
        let of_day = i64::try_from(nanos.rem_euclid(NANOS_PER_DAY)).ok()?;
        let date = date.checked_add(Span::new().try_days(days).ok()?).ok()?;
        let time = midnight.checked_add(SignedDuration::from_nanos(of_day));
        Some(date.to_datetime(time.ok()?))
    }

    /// The distance of two ticks in the long run, in nanoseconds: 400 years have 146,097 days.
    fn nanos_mean(self) -> i128 {
        let month = NANOS_PER_DAY * 146_097 / 4_800;
        i128::from(self.months) * month + i128::from(self.days) * NANOS_PER_DAY + self.nanos
    }

    /// The least distance of two ticks on the wall, in nanoseconds.
    fn nanos_min(self) -> i128 {
        (i128::from(self.months) * 28 + i128::from(self.days)) * NANOS_PER_DAY + self.nanos
    }
}

/// Tick *n* is what the zone makes of the anchor's time on the wall plus *n* strides.
///
/// Ticks never go back: a gap moves a tick forward by the gap's length, which in no zone is more than a
/// day, and two ticks are at least a day apart. Where a zone skips a whole day two of them meet; they
/// are one tick then.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    stride: Stride,
    zone: TimeZone,
}

impl Calendar {
    pub(super) fn new(stride: Stride, zone: TimeZone) -> Self {
        Self { stride, zone }
    }

    pub(super) fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let origin = self.origin(anchor);
        self.tick(&origin, self.number_of(&origin, after, |tick| tick > after))
    }

    pub(super) fn passed(
        &self,
        anchor: Timestamp,
        after: Timestamp,
        cutoff: Timestamp,
    ) -> Option<Passed> {
        let origin = self.origin(anchor);
        let first = self.number_of(&origin, after, |tick| tick > after);
        let last = self.number_of(&origin, cutoff, |tick| tick >= cutoff) - 1;
        if last < first {
            return None;
        }
        let met = self.meetings(&origin, first, last)?;
        Some(Passed {
            count: u64::try_from(last - first + 1 - met).ok()?,
            first: self.tick(&origin, first)?,
            last: self.tick(&origin, last)?,
        })
    }

    fn origin(&self, anchor: Timestamp) -> Origin {
        let micros = anchor.as_nanosecond().div_euclid(NANOS_PER_MICRO);
        let anchor = Timestamp::from_nanosecond(micros * NANOS_PER_MICRO).unwrap_or(anchor);
        Origin {
            wall: self.zone.to_datetime(anchor),
            anchor,
        }
    }

    /// Tick `number`; `None` past the end of time.
    fn tick(&self, origin: &Origin, number: i64) -> Option<Timestamp> {
        // Not what the zone makes of the anchor's wall time, which may come twice.
        if number == 0 {
            return Some(origin.anchor);
        }
        let wall = self.stride.after(origin.wall, number)?;
        let tick = self.zone.to_ambiguous_timestamp(wall).compatible().ok()?;
        let micros = tick.as_nanosecond().div_euclid(NANOS_PER_MICRO);
        Timestamp::from_nanosecond(micros * NANOS_PER_MICRO).ok()
    }

    /// The number of the first tick for which `reached` holds; that of the first one past the end of
    /// time if there is none. `reached` must hold for all ticks after one for which it holds, and begin to
    /// do so somewhere near `near`, or the search takes longer.
    fn number_of(
        &self,
        origin: &Origin,
        near: Timestamp,
        reached: impl Fn(Timestamp) -> bool,
    ) -> i64 {
        let is_reached = |number| self.tick(origin, number).is_none_or(&reached);
        let distance = near.as_nanosecond() - origin.anchor.as_nanosecond();
        let guess = i64::try_from(distance / self.stride.nanos_mean()).unwrap_or(TICKS_MAX);
        // Widen a bracket around the guess until the answer is in it, then halve it.
        let mut reach = 2;
        let (mut low, mut high) = loop {
            let low = (guess - reach).clamp(0, TICKS_MAX);
            let high = (guess + reach).clamp(0, TICKS_MAX);
            let is_below = low == 0 || !is_reached(low);
            if is_below && (high == TICKS_MAX || is_reached(high)) {
                break (low, high);
            }
            reach *= 8;
        };
        while low < high {
            let middle = low + (high - low) / 2;
            if is_reached(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// How many of the ticks `first + 1 ..= last` are the same instant as the one before.
    fn meetings(&self, origin: &Origin, first: i64, last: i64) -> Option<i64> {
        let stride_nanos = self.stride.nanos_min();
        let (start, end) = (self.tick(origin, first)?, self.tick(origin, last)?);
        // A tick lies up to a day after the gap that has moved it.
        let from = start
            .checked_sub(SignedDuration::from_hours(48))
            .unwrap_or(Timestamp::MIN);
        let mut offset = self.zone.to_offset(from);
        let mut met = 0;
        for transition in self.zone.following(from) {
            if transition.timestamp() > end {
                break;
            }
            let skipped = transition.offset().seconds() - offset.seconds();
            offset = transition.offset();
            if i128::from(skipped) * 1_000_000_000 >= stride_nanos {
                let until = transition
                    .timestamp()
                    .checked_add(SignedDuration::from_secs(skipped.into()))
                    .unwrap_or(Timestamp::MAX);
                let change = transition.timestamp();
                let mut number = self
                    .number_of(origin, change, |tick| tick >= change)
                    .max(first);
                while number < last && self.tick(origin, number)? <= until {
                    met += i64::from(self.tick(origin, number) == self.tick(origin, number + 1));
                    number += 1;
                }
            }
        }
        Some(met)
    }
}

/// Where a grid starts.
struct Origin {
    anchor: Timestamp,
    /// The anchor's time on the wall.
    wall: DateTime,
}
