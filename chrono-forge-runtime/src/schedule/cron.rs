//! Ticks where a cron pattern matches the time on the wall of a zone.

mod days;
mod times;
mod wall;

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::zone::{Stretch, stretches};
use super::{Passed, ScheduleError};
use wall::Wall;

/// More than any zone is from UTC plus what any zone ever skipped at once.
const REACH_SECONDS: i64 = 3 * 86_400;

/// A pattern in a zone.
///
/// Where clocks are changed the rules are those of Vixie cron. A pattern that says `*` or `/` of hours,
/// minutes or seconds follows the wall: what is skipped is not due, what comes twice is due twice. One
/// that names its times is due once for each: a time that is skipped at the end of the gap, a time that
/// comes twice the first time.
#[derive(Clone, Debug)]
pub(super) struct Cron {
    wall: Wall,
    zone: TimeZone,
}

impl Cron {
    pub(super) fn new(pattern: &str, zone: TimeZone) -> Result<Self, ScheduleError> {
        let wall = Wall::new(pattern)?;
        Ok(Self { wall, zone })
    }

    pub(super) fn next_after(&self, anchor: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let mut from = first_second(anchor, after);
        let end = Timestamp::MAX.as_second() + 1;
        // A pattern may match once in centuries: jump to where its next match may be, instead of passing
        // two changes of clocks a year. A stretch without a tick is left behind each time, and after a
        // jump the match is a few stretches away.
        loop {
            let wall_from = from.checked_sub(REACH_SECONDS)?;
            let near = self.wall.next_at(wall_from)?.checked_sub(REACH_SECONDS)?;
            from = from.max(near);
            if from >= end {
                return None;
            }
            let stretch = stretches(&self.zone, from).next()?;
            if let Some(tick) = self.first_in(&stretch, from..end) {
                return Timestamp::from_second(tick).ok();
            }
            from = stretch.end;
        }
    }

    pub(super) fn passed(
        &self,
        anchor: Timestamp,
        after: Timestamp,
        cutoff: Timestamp,
    ) -> Option<Passed> {
        let first = self.next_after(anchor, after)?;
        let seconds = first.as_second()..ceil_second(cutoff);
        let mut count = 0;
        let mut last = None;
        for stretch in stretches(&self.zone, seconds.start) {
            if stretch.start >= seconds.end {
                break;
            }
            let within = self.count_in(&stretch, seconds.clone());
            if within > 0 {
                count += within;
                last = Some(stretch);
            }
        }
        let last = self.last_in(&last?, seconds)?;
        Some(Passed {
            count,
            first,
            last: Timestamp::from_second(last).ok()?,
        })
    }

    /// The part of a stretch within `seconds`, as the pattern sees it.
    fn part(&self, stretch: &Stretch, seconds: Range<i64>) -> Part {
        let &Stretch {
            start,
            offset,
            offset_before,
            ..
        } = stretch;
        let from = seconds.start.max(start) + offset;
        let end = seconds.end.min(stretch.end) + offset;
        let is_within = seconds.contains(&start);
        if !self.wall.names_times || start == i64::MIN {
            return Part {
                wall: from..end,
                gap_end: None,
            };
        }
        // What comes a second time was due the first time.
        let wall = from.max(start + offset_before)..end;
        let is_due = |wall: Range<i64>| self.wall.count(wall) > 0;
        // What was skipped is due now, unless something is due now anyway.
        let gap = start + offset_before..start + offset;
        let gap_end = is_within && is_due(gap.clone()) && !is_due(gap.end..gap.end + 1);
        Part {
            wall,
            gap_end: gap_end.then_some(start),
        }
    }

    fn count_in(&self, stretch: &Stretch, seconds: Range<i64>) -> u64 {
        let part = self.part(stretch, seconds);
        self.wall.count(part.wall) + u64::from(part.gap_end.is_some())
    }

    fn first_in(&self, stretch: &Stretch, seconds: Range<i64>) -> Option<i64> {
        let part = self.part(stretch, seconds);
        part.gap_end.or_else(|| {
            let wall = self.wall.next_at(part.wall.start)?;
            (wall < part.wall.end).then_some(wall - stretch.offset)
        })
    }

    fn last_in(&self, stretch: &Stretch, seconds: Range<i64>) -> Option<i64> {
        let part = self.part(stretch, seconds);
        let wall = self.wall.last_before(part.wall.end);
        wall.filter(|wall| part.wall.contains(wall))
            .map(|wall| wall - stretch.offset)
            .or(part.gap_end)
    }
}

/// What of a stretch a pattern is held against.
struct Part {
    /// Times on the wall that count here.
    wall: Range<i64>,
    /// The unix second of a tick that a gap before the stretch has moved to its start.
    gap_end: Option<i64>,
}

/// The first second that is not before the anchor and after `after`.
fn first_second(anchor: Timestamp, after: Timestamp) -> i64 {
    ceil_second(anchor).max(floor_second(after) + 1)
}

fn floor_second(instant: Timestamp) -> i64 {
    instant.as_second() - i64::from(instant.subsec_nanosecond() < 0)
}

fn ceil_second(instant: Timestamp) -> i64 {
    instant.as_second() + i64::from(instant.subsec_nanosecond() > 0)
}
