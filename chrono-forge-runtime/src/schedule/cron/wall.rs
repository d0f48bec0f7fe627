//! A pattern against the time on the wall, in seconds since 1970-01-01T00:00 there.

use std::ops::Range;
use std::str::FromStr;

use croner::{Cron as Parsed, CronComponent};
use jiff::ToSpan;
use jiff::civil::Date;

use super::days::Days;
use super::times::Times;
use crate::schedule::ScheduleError;

const SECONDS_PER_DAY: i64 = 86_400;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// The times on the wall that a pattern means: some times of some days.
#[derive(Clone, Debug)]
pub(super) struct Wall {
    days: Days,
    times: Times,
    /// Whether hours, minutes and seconds are all named, without `*` and `/`.
    pub(super) names_times: bool,
}

impl Wall {
    pub(super) fn new(pattern: &str) -> Result<Self, ScheduleError> {
        let bad = |problem: croner::errors::CronError| ScheduleError::BadPattern {
            pattern: pattern.to_owned(),
            problem: problem.to_string(),
        };
        if let Some(field) = pattern.split_whitespace().find(|field| has_gap(field)) {
            return Err(ScheduleError::BadPattern {
                pattern: pattern.to_owned(),
                problem: format!("an item of the list `{field}` is missing"),
            });
        }
        let fields = Parsed::from_str(pattern).map_err(bad)?.pattern;
        let named = |field: &CronComponent| !field.from_wildcard && field.step == 1;
        let wall = Self {
            days: Days::new(&fields).map_err(bad)?,
            times: Times::new(&fields),
            names_times: named(&fields.hours) && named(&fields.minutes) && named(&fields.seconds),
        };
        if wall.times.count() == 0 || wall.days.next(Date::constant(1, 1, 1)).is_none() {
            let pattern = pattern.to_owned();
            return Err(ScheduleError::NeverMatches { pattern });
        }
        Ok(wall)
    }

    /// The first match at or after that time; `None` past the end of the calendar.
    pub(super) fn next_at(&self, wall: i64) -> Option<i64> {
        let (date, second) = split(wall);
        if self.days.contains(date)
            && let Some(second) = self.times.at(self.times.count_before(second))
        {
            return Some(join(date, second));
        }
        let date = self.days.next(date.tomorrow().ok()?)?;
        Some(join(date, self.times.at(0)?))
    }

    /// The last match before that time, if there is one in the 400 years before.
    pub(super) fn last_before(&self, wall: i64) -> Option<i64> {
        let (date, second) = split(wall);
        let before = self.times.count_before(second);
        if before > 0 && self.days.contains(date) {
            return Some(join(date, self.times.at(before - 1)?));
        }
        let date = self.days.previous(date.yesterday().ok()?)?;
        Some(join(date, self.times.at(self.times.count() - 1)?))
    }

    /// How many times of the range match.
    pub(super) fn count(&self, wall: Range<i64>) -> u64 {
        if wall.is_empty() {
            return 0;
        }
        let (from, end) = (split(wall.start), split(wall.end));
        let before = |(date, second): (Date, u32)| {
            u64::from(self.days.contains(date)) * self.times.count_before(second) as u64
        };
        let days = self.days.count(from.0, end.0);
        days * self.times.count() as u64 + before(end) - before(from)
    }
}

/// A list with a comma too many: its author meant another value, or none.
fn has_gap(field: &str) -> bool {
    field.split(',').any(str::is_empty)
}

/// The date and the second of the day; what lies beyond the calendar is its first or last second.
fn split(wall: i64) -> (Date, u32) {
    let days = wall.div_euclid(SECONDS_PER_DAY);
    let second = u32::try_from(wall.rem_euclid(SECONDS_PER_DAY)).unwrap_or(0);
    let date = 0
        .days()
        .try_days(days)
        .ok()
        .and_then(|days| EPOCH.checked_add(days).ok());
    match date {
        Some(date) => (date, second),
        None if wall < 0 => (Date::MIN, 0),
        None => (Date::MAX, 86_399),
    }
}

fn join(date: Date, second: u32) -> i64 {
    let days = date.duration_since(EPOCH).as_hours() / 24;
    days * SECONDS_PER_DAY + i64::from(second)
}
