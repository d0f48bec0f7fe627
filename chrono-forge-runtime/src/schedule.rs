//! When a repeated task is due. Pure: no clock, no I/O besides the time zone database, no SQL.
//!
//! A schedule is a grid of instants, its ticks. Where a tick lies follows from the schedule and the
//! anchor alone, never from when earlier ticks ran, so lateness does not shift the grid. No tick lies
//! before the anchor. Ticks have microseconds, as rows do; a finer instant is rounded down.

mod calendar;
mod cron;
mod error;
mod fixed;
mod zone;

use std::time::Duration;

use jiff::{Span, Timestamp};

use calendar::Calendar;
use cron::Cron;
pub use error::ScheduleError;
use fixed::Fixed;

/// How often: a fixed duration, or a calendar span.
///
/// A day of 24 hours and a calendar day differ where clocks are changed: the first drifts against the
/// wall clock, the second keeps its time of day.
#[derive(Clone, Copy, Debug)]
pub enum Every {
    /// So much time between two ticks, whatever the clocks on the wall say.
    Fixed(Duration),
    /// The same time of day, so many days or months apart. A span of hours and below is a fixed duration.
    Calendar(Span),
}

impl From<Duration> for Every {
    fn from(every: Duration) -> Self {
        Self::Fixed(every)
    }
}

impl From<Span> for Every {
    fn from(every: Span) -> Self {
        Self::Calendar(every)
    }
}

/// What `every` of a `repeat!` takes. A trait of its own, so that a value of another type is told what
/// to write instead.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an interval",
    label = "expected a duration, such as `hours(6)`, or a calendar span, such as `months(1)`"
)]
pub trait Interval {
    /// The interval.
    fn interval(self) -> Every;
}

impl Interval for Every {
    fn interval(self) -> Every {
        self
    }
}

impl Interval for Duration {
    fn interval(self) -> Every {
        self.into()
    }
}

impl Interval for Span {
    fn interval(self) -> Every {
        self.into()
    }
}

/// The ticks of a stretch of time, as [`Schedule::passed`] finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// How many there are; at least one.
    pub count: u64,
    /// The earliest.
    pub first: Timestamp,
    /// The latest; the first if there is one only.
    pub last: Timestamp,
}

/// A grid of ticks.
///
/// ```
/// # use chrono_forge_runtime::schedule::{Every, Schedule};
/// use jiff::{Timestamp, ToSpan};
///
/// let monthly = Schedule::every(Every::from(1.month()), Some("Europe/Berlin"))?;
/// let anchor: Timestamp = "2026-01-31T08:00+01".parse()?;
/// let february: Timestamp = "2026-02-28T08:00+01".parse()?;
/// let march: Timestamp = "2026-03-31T08:00+02".parse()?;
/// assert_eq!(monthly.next_after(anchor, anchor), Some(february));
/// assert_eq!(monthly.next_after(anchor, february), Some(march));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    grid: Grid,
}

/// Where the ticks lie.
#[derive(Clone, Debug)]
enum Grid {
    Fixed(Fixed),
    Calendar(Calendar),
    Cron(Box<Cron>),
}

impl Schedule {
    /// Ticks at even distances from the anchor, which is the first.
    ///
    /// A calendar span is added to the anchor's time on the wall in `zone` (default: UTC): tick *n* is *n* spans
    /// after the anchor, so that a month that is too short does not shorten those after it. A time that
    /// the zone skips moves forward by as much as is skipped; of a time that comes twice, the first is taken.
    ///
    /// # Errors
    ///
    /// Less than a millisecond, a span that does not lead forward, a zone that is not known, or a zone
    /// beside a fixed duration.
    pub fn every(every: Every, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let span = match every {
            Every::Fixed(every) => {
                let nanos = i128::try_from(every.as_nanos()).unwrap_or(i128::MAX);
                return Self::fixed(nanos, zone);
            }
            Every::Calendar(span) => span,
        };
        let stride = calendar::Stride::new(span)?;
        if stride.is_time_only() {
            return Self::fixed(stride.nanos, zone);
        }
        let grid = Grid::Calendar(Calendar::new(stride, zone::zone(zone)?));
        Ok(Self { grid })
    }

    /// Ticks wherever a cron pattern matches the time on the wall in `zone` (default: UTC).
    ///
    /// Five fields: minute, hour, day of the month, month (1-12 or `JAN`-`DEC`), day of the week (0-7 or `SUN`-`SAT`;
    /// 0 and 7 are Sunday). With six fields the first is the second, with seven the last is the year. A field is `*`,
    /// a value, a range `a-b`, a step `*/n` or `a-b/n`, or a list of these. Days also know `L` (the last of the month),
    /// `15W` (the weekday nearest the 15th), `LW`, and as days of the week `FRI#2` (the second Friday) and
    /// `FRI#L` (the last). A day matches if the day of the month or the day of the week does, where neither is `*`; with a
    /// `+` before the day of the week it must match both. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` are patterns too.
    ///
    /// Where clocks are changed, a pattern with `*` or a step in its hours, minutes or seconds follows the
    /// wall: what the zone skips is not due, what comes twice is due twice. A pattern that names its times
    /// is due once for each: a time that is skipped at the end of the gap, one that comes twice the first time.
    ///
    /// # Errors
    ///
    /// A pattern that does not parse or never matches, such as `0 0 31 2 *`, or a zone that is not known.
    pub fn cron(pattern: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let grid = Grid::Cron(Box::new(Cron::new(pattern, zone::zone(zone)?)?));
        Ok(Self { grid })
    }

    /// Ticks `nanos` apart.
    fn fixed(nanos: i128, zone: Option<&str>) -> Result<Self, ScheduleError> {
        if let Some(zone) = zone {
            let zone = zone.to_owned();
            return Err(ScheduleError::ZoneOfDuration { zone });
        }
        let grid = Grid::Fixed(Fixed::new(nanos)?);
        Ok(Self { grid })
    }

    /// Where the grid is anchored for a repeat that names no start: `created`, rounded up to a whole
    /// second unless ticks are closer together than a second.
    ///
    /// A pattern has its grid without an anchor; rounded up, `created` could step over a tick.
    #[must_use]
    pub fn anchor(&self, created: Timestamp) -> Timestamp {
        match &self.grid {
            Grid::Fixed(grid) if grid.is_below_a_second() => created,
            Grid::Fixed(_) | Grid::Calendar(_) => next_whole_second(created),
            Grid::Cron(_) => created,
        }
    }

    /// The first tick strictly after `after`; `None` if there is none before the end of time.
    ///
    /// With an `after` before the anchor that is the anchor itself, or the pattern's first match from there on.
    #[must_use]
    pub fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        match &self.grid {
            Grid::Fixed(grid) => grid.next_after(anchor, after),
            Grid::Calendar(grid) => grid.next_after(anchor, after),
            Grid::Cron(grid) => grid.next_after(anchor, after),
        }
    }

    /// The ticks strictly after `after` and strictly before `cutoff`; `None` if there are none.
    ///
    /// What it costs does not grow with the number of ticks.
    #[must_use]
    pub fn passed(&self, anchor: Timestamp, after: Timestamp, cutoff: Timestamp) -> Option<Passed> {
        match &self.grid {
            Grid::Fixed(grid) => grid.passed(anchor, after, cutoff),
            Grid::Calendar(grid) => grid.passed(anchor, after, cutoff),
            Grid::Cron(grid) => grid.passed(anchor, after, cutoff),
        }
    }
}

/// The whole second at or after an instant; the instant itself where time ends before that.
fn next_whole_second(instant: Timestamp) -> Timestamp {
    let floor = instant.as_nanosecond().div_euclid(1_000_000_000);
    let second = floor + i128::from(instant.subsec_nanosecond() != 0);
    Timestamp::from_nanosecond(second * 1_000_000_000).unwrap_or(instant)
}

/// The suffix of a tick's row: whole unix seconds, with a fraction (no trailing zeros) where the tick
/// has one.
///
/// ```
/// # use chrono_forge_runtime::schedule::tick_name;
/// use jiff::Timestamp;
///
/// assert_eq!(tick_name(Timestamp::constant(1_700_000_000, 0)), "1700000000");
/// assert_eq!(tick_name(Timestamp::constant(1_700_000_000, 250_000_000)), "1700000000.25");
/// ```
#[must_use]
pub fn tick_name(tick: Timestamp) -> String {
    let nanos = tick.as_nanosecond();
    let sign = if nanos < 0 { "-" } else { "" };
    let seconds = nanos.unsigned_abs() / 1_000_000_000;
    let fraction = format!("{:09}", nanos.unsigned_abs() % 1_000_000_000);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{seconds}"),
        fraction => format!("{sign}{seconds}.{fraction}"),
    }
}

#[cfg(test)]
mod tests;
