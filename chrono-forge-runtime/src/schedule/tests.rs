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
