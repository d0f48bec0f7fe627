//! Days that a pattern names.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::{CronPattern, Weekday};
use jiff::ToSpan;
use jiff::civil::Date;

/// After so many years the calendar repeats itself, weekdays included.
const CYCLE_YEARS: i16 = 400;

/// The dates that match. Which days of a month do depends on its length and on the weekday of its first
/// day alone; so there are 28 shapes of months, and to count days is to count bits.
#[derive(Clone, Debug)]
pub(super) struct Days {
    /// By length - 28 and weekday of the first: bit *n* is the month's day *n*.
    shapes: [[u32; 7]; 4],
    /// Bit *n* is month *n* of a year.
    months: u16,
    /// The years named, ascending; `None` is all.
    years: Option<Vec<u16>>,
}

impl Days {
    pub(super) fn new(pattern: &CronPattern) -> Result<Self, CronError> {
        let named = !pattern.years.from_wildcard || pattern.years.step > 1;
        let mut days = Self {
            shapes: [[0; 7]; 4],
            months: pattern
                .months
                .values()
                .iter()
                .fold(0, |months, month| months | 1 << month),
            years: named.then(|| pattern.years.values()),
        };
        // In 28 years months of every length begin on every weekday.
        for year in 2_000..2_028 {
            for month in 1..=12 {
                let first = Date::constant(year, month, 1);
                let (length, weekday) = shape(first);
                days.shapes[length][weekday] = matches_of(pattern, first)?;
            }
        }
        Ok(days)
    }

    pub(super) fn contains(&self, date: Date) -> bool {
        self.month(date.first_of_month()) & bit(date) != 0
    }

    /// The first match on or after that date.
    pub(super) fn next(&self, from: Date) -> Option<Date> {
        let mut year = from.year();
        let end = self.years_end(year);
        while year <= end {
            year = self.year_from(year).filter(|year| *year <= end)?;
            for month in 1..=12 {
                let first = Date::new(year, month, 1).ok()?;
                let days = self.month(first) & on_or_after(from, first);
                if days != 0 {
                    return day(first, days.trailing_zeros());
                }
            }
            year += 1;
        }
        None
    }

    /// The last match on or before that date.
    pub(super) fn previous(&self, until: Date) -> Option<Date> {
        let end = until.year().saturating_sub(CYCLE_YEARS);
        for year in (end..=until.year()).rev() {
            for month in (1..=12).rev() {
                let first = Date::new(year, month, 1).ok()?;
                let days = self.month(first) & !on_or_after(until.tomorrow().ok()?, first);
                if days != 0 {
                    return day(first, days.ilog2());
                }
            }
        }
        None
    }

    /// How many there are from that date to the day before `end`.
    pub(super) fn count(&self, from: Date, end: Date) -> u64 {
        let mut count = 0;
        let mut first = from.first_of_month();
        while first < end {
            let days = self.month(first) & on_or_after(from, first) & !on_or_after(end, first);
            count += u64::from(days.count_ones());
            let Ok(next) = first.checked_add(1.month()) else {
                break;
            };
            first = next;
        }
        count
    }

    /// The matching days of the month of that first day.
    fn month(&self, first: Date) -> u32 {
        let named = |years: &Vec<u16>| {
            u16::try_from(first.year()).is_ok_and(|year| years.binary_search(&year).is_ok())
        };
        if self.months & 1 << first.month() == 0 || !self.years.as_ref().is_none_or(named) {
            return 0;
        }
        let (length, weekday) = shape(first);
        self.shapes[length][weekday]
    }

    /// The first year from `year` on that can hold a match.
    fn year_from(&self, year: i16) -> Option<i16> {
        let Some(years) = &self.years else {
            return Some(year);
        };
        let next = years.partition_point(|it| i32::from(*it) < i32::from(year));
        i16::try_from(*years.get(next)?).ok()
    }

    /// The last year that a search from `year` on must look at.
    fn years_end(&self, year: i16) -> i16 {
        match self.years {
            Some(_) => i16::MAX - 1,
            None => year.saturating_add(CYCLE_YEARS),
        }
    }
}

/// Which days of that month the pattern's days and weekdays match.
fn matches_of(pattern: &CronPattern, first: Date) -> Result<u32, CronError> {
    let (_, weekday) = shape(first);
    let month = u32::from(first.month().unsigned_abs());
    let mut days = 0;
    for (day, weekday) in
        (1..=u32::from(first.days_in_month().unsigned_abs())).zip(weekday as u32..)
    {
        let weekday = Weekday::from_days_from_sunday(weekday);
        let matches = pattern.day_match(first.year().into(), month, day, weekday)?;
        days |= u32::from(matches) << day;
    }
    Ok(days)
}

/// What decides which days of a month match: its length - 28 and the weekday of its first day.
fn shape(first: Date) -> (usize, usize) {
    let length = usize::from(first.days_in_month().unsigned_abs());
    let weekday = first.weekday().to_sunday_zero_offset().unsigned_abs();
    (length - 28, usize::from(weekday))
}

fn bit(date: Date) -> u32 {
    1 << date.day()
}

/// The bits of those days of a month that are not before `date`.
fn on_or_after(date: Date, first: Date) -> u32 {
    match first.cmp(&date.first_of_month()) {
        Ordering::Less => 0,
        Ordering::Equal => u32::MAX << date.day(),
        Ordering::Greater => u32::MAX,
    }
}

/// That day of the month.
fn day(first: Date, day: u32) -> Option<Date> {
    Date::new(first.year(), first.month(), i8::try_from(day).ok()?).ok()
}
