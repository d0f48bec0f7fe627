//! Time zones as stretches of one offset.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneTransition};

use super::ScheduleError;

/// The zone of that name; UTC without one.
pub(super) fn zone(name: Option<&str>) -> Result<TimeZone, ScheduleError> {
    let Some(name) = name else {
        return Ok(TimeZone::UTC);
    };
    TimeZone::get(name).map_err(|_| ScheduleError::UnknownZone {
        zone: name.to_owned(),
    })
}

/// A stretch of time over which a zone keeps its offset. All in seconds; wall times are seconds since
/// 1970-01-01T00:00 on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its first second, in unix time.
    pub(super) start: i64,
    /// The first second of the next stretch.
    pub(super) end: i64,
    /// What to add to unix time for the time on the wall.
    pub(super) offset: i64,
    /// The offset of the stretch before; the same one where there is none.
    pub(super) offset_before: i64,
}

/// The stretches of a zone, from the one that holds second `from` on, until the end of time.
pub(super) fn stretches(zone: &TimeZone, from: i64) -> impl Iterator<Item = Stretch> {
    let from = second(from);
    let next_second = second(from.as_second().saturating_add(1));
    let start = zone.preceding(next_second).next();
    let offset_before =
        |change: &TimeZoneTransition<'_>| second(change.timestamp().as_second().saturating_sub(1));
    let mut offset = i64::from(zone.to_offset(from).seconds());
    let mut before = start.as_ref().map_or(offset, |change| {
        zone.to_offset(offset_before(change)).seconds().into()
    });
    let mut start = Some(start.map_or(i64::MIN, |change| change.timestamp().as_second()));
    let mut changes = zone.following(from);
    std::iter::from_fn(move || {
        let first = start.take()?;
        let change = changes.next();
        let end = change.as_ref().map(|change| change.timestamp().as_second());
        let stretch = Stretch {
            start: first,
            end: end.unwrap_or(i64::MAX),
            offset,
            offset_before: before,
        };
        start = end;
        before = offset;
        if let Some(change) = change {
            offset = change.offset().seconds().into();
        }
        Some(stretch)
    })
}

/// That second of unix time, or the end of time it lies beyond.
fn second(unix: i64) -> Timestamp {
    let end = if unix < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_second(unix).unwrap_or(end)
}
