//! Which tick follows which: tables by kind of grid, and random schedules against models.

mod calendar;
mod cron;
mod fixed;
mod property;
mod refusals;

use jiff::{Timestamp, ToSpan};

use super::*;

/// An instant in the notation of RFC 3339.
fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn fixed(every: Duration) -> Schedule {
    Schedule::every(every.into(), None).unwrap()
}

fn calendar(every: Span, zone: &str) -> Schedule {
    Schedule::every(every.into(), Some(zone)).unwrap()
}

/// The first ticks after the anchor, as times on the wall of `zone`.
fn walls(schedule: &Schedule, anchor: &str, zone: &str, count: usize) -> Vec<String> {
    let anchor = at(anchor);
    let step = |tick: &Timestamp| schedule.next_after(anchor, *tick);
    std::iter::successors(schedule.next_after(anchor, anchor), step)
        .take(count)
        .map(|tick| tick.in_tz(zone).unwrap().strftime("%F %T%:z").to_string())
        .collect()
}

fn cron(pattern: &str, zone: &str) -> Schedule {
    Schedule::cron(pattern, Some(zone)).unwrap()
}

#[test]
fn the_anchor_is_the_first_tick() {
    let anchor = at("2026-01-01T00:00:00Z");
    for schedule in [
        fixed(Duration::from_secs(5)),
        calendar(1.day(), "Asia/Tokyo"),
        cron("*/5 * * * *", "UTC"),
    ] {
        let before = anchor - 1.nanosecond();
        assert_eq!(schedule.next_after(anchor, Timestamp::MIN), Some(anchor));
        assert_eq!(schedule.next_after(anchor, before), Some(anchor));
        assert!(schedule.next_after(anchor, anchor) > Some(anchor));
        assert_eq!(schedule.passed(anchor, Timestamp::MIN, anchor), None);
    }
}

#[test]
fn a_created_repeat_is_anchored_at_a_whole_second() {
    let created = at("2026-05-01T10:00:01.459Z");
    let (whole, before_1970) = (at("2026-05-01T10:00:02Z"), at("1950-01-01T00:00:00.25Z"));
    let seconds = fixed(Duration::from_secs(1));
    assert_eq!(seconds.anchor(created), whole);
    assert_eq!(seconds.anchor(whole), whole);
    assert_eq!(seconds.anchor(before_1970), at("1950-01-01T00:00:01Z"));
    assert_eq!(calendar(1.day(), "UTC").anchor(created), whole);
    // Else a repeat that is created half a second before nine would wait until tomorrow.
    assert_eq!(cron("0 9 * * *", "UTC").anchor(created), created);
    assert_eq!(fixed(Duration::from_millis(999)).anchor(created), created);
    assert_eq!(seconds.anchor(Timestamp::MAX), Timestamp::MAX);
    assert_eq!(seconds.anchor(Timestamp::MIN), Timestamp::MIN);
}

#[test]
fn a_tick_is_named_by_its_second() {
    let names = |nanos: i128| tick_name(Timestamp::from_nanosecond(nanos).unwrap());
    assert_eq!(names(0), "0");
    assert_eq!(names(1_700_000_000_000_000_000), "1700000000");
    assert_eq!(names(1_500_000), "0.0015");
    assert_eq!(names(-1), "-0.000000001");
    assert_eq!(names(-500_000_000), "-0.5");
    assert_eq!(names(-3_000_000_000), "-3");
}
