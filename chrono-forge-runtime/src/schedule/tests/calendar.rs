//! Calendar grids.

use jiff::{Span, Timestamp, ToSpan};

use super::super::Schedule;
use super::{at, calendar, walls};

#[test]
fn a_month_that_is_too_short_does_not_shorten_the_next() {
    let dates: Vec<String> = walls(
        &calendar(1.month(), "UTC"),
        "2026-01-31T08:00:00Z",
        "UTC",
        13,
    )
    .iter()
    .map(|wall| wall[..10].to_owned())
    .collect();
    assert_eq!(
        dates,
        [
            "2026-02-28",
            "2026-03-31",
            "2026-04-30",
            "2026-05-31",
            "2026-06-30",
            "2026-07-31",
            "2026-08-31",
            "2026-09-30",
            "2026-10-31",
            "2026-11-30",
            "2026-12-31",
            "2027-01-31",
            "2027-02-28"
        ]
    );
}

#[test]
fn a_leap_day_comes_back() {
    let yearly = calendar(1.year(), "UTC");
    assert_eq!(
        walls(&yearly, "2024-02-29T06:00:00Z", "UTC", 4),
        [
            "2025-02-28 06:00:00+00:00",
            "2026-02-28 06:00:00+00:00",
            "2027-02-28 06:00:00+00:00",
            "2028-02-29 06:00:00+00:00"
        ]
    );
    // 2100 is no leap year.
    let passed = yearly.passed(
        at("2024-02-29T06:00:00Z"),
        at("2096-03-01T00:00:00Z"),
        at("2104-03-01T00:00:00Z"),
    );
    assert_eq!(passed.unwrap().count, 8);
}

#[test]
fn daily_ticks_that_expired_are_those_before_the_cutoff() {
    // The clock says 2026-03-20T12:00, the timeout is a day.
    let daily = Schedule::every(1.day().into(), None).unwrap();
    let (anchor, cutoff) = (at("2026-03-01T12:00:00Z"), at("2026-03-19T12:00:00Z"));
    let passed = daily
        .passed(anchor, anchor - 1.microsecond(), cutoff)
        .unwrap();
    assert_eq!(passed.count, 18);
    assert_eq!(
        (passed.first, passed.last),
        (anchor, at("2026-03-18T12:00:00Z"))
    );
    assert_eq!(daily.next_after(anchor, passed.last), Some(cutoff));
    assert_eq!(
        daily.passed(anchor, at("2026-03-18T12:00:00Z"), cutoff),
        None
    );
}

#[test]
fn a_gap_moves_a_tick_and_a_repetition_takes_the_first() {
    let cases = [
        (
            "Europe/Berlin",
            "2026-03-28T02:30:00+01",
            ["2026-03-29 03:30:00+02:00", "2026-03-30 02:30:00+02:00"],
        ),
        (
            "Europe/Berlin",
            "2026-10-24T02:30:00+02",
            ["2026-10-25 02:30:00+02:00", "2026-10-26 02:30:00+01:00"],
        ),
        (
            "America/New_York",
            "2026-03-07T02:30:00-05",
            ["2026-03-08 03:30:00-04:00", "2026-03-09 02:30:00-04:00"],
        ),
        (
            "America/New_York",
            "2026-10-31T01:30:00-04",
            ["2026-11-01 01:30:00-04:00", "2026-11-02 01:30:00-05:00"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-03T02:15:00+1030",
            ["2026-10-04 02:45:00+11:00", "2026-10-05 02:15:00+11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-04T01:45:00+11",
            ["2026-04-05 01:45:00+11:00", "2026-04-06 01:45:00+10:30"],
        ),
        (
            "Africa/Casablanca",
            "2023-04-22T02:30:00+00",
            ["2023-04-23 03:30:00+01:00", "2023-04-24 02:30:00+01:00"],
        ),
        (
            "Africa/Casablanca",
            "2023-03-18T02:30:00+01",
            ["2023-03-19 02:30:00+01:00", "2023-03-20 02:30:00+00:00"],
        ),
    ];
    for (zone, anchor, expected) in cases {
        assert_eq!(walls(&calendar(1.day(), zone), anchor, zone, 2), expected);
    }
}

#[test]
fn an_anchor_that_comes_twice_stays_where_it_is() {
    // The second 02:30 of that night.
    let anchor = at("2026-10-25T02:30:00+01");
    let daily = calendar(1.day(), "Europe/Berlin");
    assert_eq!(daily.next_after(anchor, anchor - 1.hour()), Some(anchor));
    assert_eq!(
        daily.next_after(anchor, anchor),
        Some(at("2026-10-26T02:30:00+01"))
    );
}

#[test]
fn a_day_that_a_zone_skips_is_no_tick() {
    // Samoa went from the 29th to the 31st of December 2011.
    let daily = calendar(1.day(), "Pacific/Apia");
    let anchor = at("2011-12-28T09:00:00-10");
    let expected = [
        "2011-12-29 09:00:00-10:00",
        "2011-12-31 09:00:00+14:00",
        "2012-01-01 09:00:00+14:00",
    ];
    assert_eq!(
        walls(&daily, "2011-12-28T09:00:00-10", "Pacific/Apia", 3),
        expected
    );
    let count = |cutoff| {
        daily
            .passed(anchor, anchor, at(cutoff))
            .map(|passed| passed.count)
    };
    assert_eq!(count("2011-12-31T09:00:00+14"), Some(1));
    assert_eq!(count("2011-12-31T09:00:01+14"), Some(2));
    assert_eq!(count("2012-01-01T09:00:01+14"), Some(3));
    let met = at("2011-12-31T09:00:00+14");
    let passed = daily
        .passed(anchor, met - 1.second(), met + 1.second())
        .unwrap();
    assert_eq!((passed.count, passed.first, passed.last), (1, met, met));
    // Every second day that day was no tick to begin with.
    let second = calendar(2.days(), "Pacific/Apia");
    let passed = second.passed(
        at("2011-12-27T09:00:00-10"),
        anchor,
        at("2012-01-03T00:00:00+14"),
    );
    assert_eq!(passed.unwrap().count, 3);
}

#[test]
fn a_span_may_mix_days_and_hours() {
    let mixed = calendar(1.day().hours(6), "Europe/Berlin");
    assert_eq!(
        walls(&mixed, "2026-03-27T20:00:00+01", "Europe/Berlin", 3),
        [
            "2026-03-29 03:00:00+02:00",
            "2026-03-30 08:00:00+02:00",
            "2026-03-31 14:00:00+02:00"
        ]
    );
}

#[test]
fn there_is_no_tick_after_the_end_of_the_calendar() {
    let anchor = at("2026-01-31T00:00:00Z");
    let last = at("9999-12-28T12:00:00Z");
    for zone in [
        "UTC",
        "Europe/Berlin",
        "Pacific/Kiritimati",
        "America/New_York",
    ] {
        let yearly = calendar(9_000.years(), zone);
        assert_eq!(yearly.next_after(anchor, anchor), None);
        assert_eq!(
            yearly
                .passed(anchor, Timestamp::MIN, Timestamp::MAX)
                .unwrap()
                .count,
            1
        );
        let daily = calendar(1.day(), zone);
        assert_eq!(daily.next_after(anchor, Timestamp::MAX), None);
        assert!(daily.next_after(Timestamp::MIN, last).is_some());
        assert!(
            daily
                .passed(Timestamp::MIN, Timestamp::MIN, anchor)
                .unwrap()
                .count
                > 4_000_000
        );
    }
    let longest = Span::new()
        .years(19_998)
        .months(239_976)
        .weeks(1_043_497)
        .days(7_304_484);
    assert_eq!(
        calendar(longest, "UTC").next_after(Timestamp::MIN, Timestamp::MIN),
        None
    );
}
