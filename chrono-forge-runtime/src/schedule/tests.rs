//! Tables: which tick follows which.

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

#[test]
fn the_anchor_is_the_first_tick() {
    let anchor = at("2026-01-01T00:00:00Z");
    for schedule in [
        fixed(Duration::from_secs(5)),
        calendar(1.day(), "Asia/Tokyo"),
    ] {
        let before = anchor - 1.nanosecond();
        assert_eq!(schedule.next_after(anchor, Timestamp::MIN), Some(anchor));
        assert_eq!(schedule.next_after(anchor, before), Some(anchor));
        assert!(schedule.next_after(anchor, anchor) > Some(anchor));
    }
}

#[test]
fn a_month_that_is_too_short_does_not_shorten_the_next() {
    let monthly = calendar(1.month(), "UTC");
    assert_eq!(
        walls(&monthly, "2026-01-31T08:00:00Z", "UTC", 3),
        [
            "2026-02-28 08:00:00+00:00",
            "2026-03-31 08:00:00+00:00",
            "2026-04-30 08:00:00+00:00"
        ]
    );
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

fn cron(pattern: &str, zone: &str) -> Schedule {
    Schedule::cron(pattern, Some(zone)).unwrap()
}

#[test]
fn a_pattern_that_names_its_time_is_due_once_a_day() {
    // 02:30 does not exist on 2026-03-29 and comes twice on 2026-10-25.
    let nightly = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        walls(&nightly, "2026-03-28T00:00:00Z", "Europe/Berlin", 3),
        [
            "2026-03-28 02:30:00+01:00",
            "2026-03-29 03:00:00+02:00",
            "2026-03-30 02:30:00+02:00"
        ]
    );
    assert_eq!(
        walls(&nightly, "2026-10-24T00:00:00Z", "Europe/Berlin", 3),
        [
            "2026-10-24 02:30:00+02:00",
            "2026-10-25 02:30:00+02:00",
            "2026-10-26 02:30:00+01:00"
        ]
    );
}

#[test]
fn a_century_of_minutes_is_counted_at_once() {
    let minutely = cron("* * * * *", "Europe/Berlin");
    let (from, until) = (at("1970-01-01T00:00:00Z"), at("2070-01-01T00:00:00Z"));
    let begun = std::time::Instant::now();
    let passed = minutely.passed(from, from, until).unwrap();
    let took = begun.elapsed();
    assert_eq!(passed.count, 36_525 * 1_440 - 1);
    assert_eq!(passed.first, at("1970-01-01T00:01:00Z"));
    assert_eq!(passed.last, at("2069-12-31T23:59:00Z"));
    // To step through 50 million ticks would take minutes.
    assert!(took < Duration::from_secs(1), "{took:?}");
}
