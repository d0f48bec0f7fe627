//! Cron grids.

use jiff::{Timestamp, ToSpan};

use super::super::{Passed, Schedule};
use super::{Duration, at, cron, walls};

/// The times of day of the first ticks after midnight of that date in that zone.
fn times(pattern: &str, zone: &str, date: &str, count: usize) -> Vec<String> {
    let midnight: jiff::civil::Date = date.parse().unwrap();
    let midnight = midnight.in_tz(zone).unwrap().timestamp();
    let walls = walls(&cron(pattern, zone), &midnight.to_string(), zone, count);
    walls.iter().map(|wall| wall[5..].to_owned()).collect()
}

#[test]
fn fields_mean_what_they_say() {
    let first = |pattern| times(pattern, "UTC", "2026-05-01", 2).join(", ");
    // The first of May 2026 is a Friday.
    let cases = [
        (
            "30 9 * * MON-FRI",
            "05-01 09:30:00+00:00, 05-04 09:30:00+00:00",
        ),
        ("0 0 1,15 * *", "05-15 00:00:00+00:00, 06-01 00:00:00+00:00"),
        ("0 0 15 * 1", "05-04 00:00:00+00:00, 05-11 00:00:00+00:00"),
        ("0 0 15 * +1", "06-15 00:00:00+00:00, 02-15 00:00:00+00:00"),
        // A step from `*` names days, too.
        ("0 0 */2 * 3", "05-03 00:00:00+00:00, 05-05 00:00:00+00:00"),
        ("0 12 L * *", "05-31 12:00:00+00:00, 06-30 12:00:00+00:00"),
        ("0 12 LW * *", "05-29 12:00:00+00:00, 06-30 12:00:00+00:00"),
        ("0 12 16W * *", "05-15 12:00:00+00:00, 06-16 12:00:00+00:00"),
        (
            "0 12 * * FRI#2",
            "05-08 12:00:00+00:00, 06-12 12:00:00+00:00",
        ),
        (
            "0 12 * * FRI#L",
            "05-29 12:00:00+00:00, 06-26 12:00:00+00:00",
        ),
        ("0 12 * * 7", "05-03 12:00:00+00:00, 05-10 12:00:00+00:00"),
        (
            "*/20 8-9 * JUN *",
            "06-01 08:00:00+00:00, 06-01 08:20:00+00:00",
        ),
        (
            "15 30 9 * * *",
            "05-01 09:30:15+00:00, 05-02 09:30:15+00:00",
        ),
        ("0 30 9 1 5 * 2027", "05-01 09:30:00+00:00"),
        ("@hourly", "05-01 01:00:00+00:00, 05-01 02:00:00+00:00"),
        ("@weekly", "05-03 00:00:00+00:00, 05-10 00:00:00+00:00"),
        ("@monthly", "06-01 00:00:00+00:00, 07-01 00:00:00+00:00"),
        ("@daily", "05-02 00:00:00+00:00, 05-03 00:00:00+00:00"),
        ("@yearly", "01-01 00:00:00+00:00, 01-01 00:00:00+00:00"),
    ];
    for (pattern, expected) in cases {
        assert_eq!(first(pattern), expected, "{pattern}");
    }
}

#[test]
fn a_named_time_is_due_once_a_day() {
    let berlin = |pattern, date| times(pattern, "Europe/Berlin", date, 3);
    assert_eq!(
        berlin("30 2 * * *", "2026-03-28"),
        [
            "03-28 02:30:00+01:00",
            "03-29 03:00:00+02:00",
            "03-30 02:30:00+02:00"
        ]
    );
    assert_eq!(
        berlin("30 2 * * *", "2026-10-24"),
        [
            "10-24 02:30:00+02:00",
            "10-25 02:30:00+02:00",
            "10-26 02:30:00+01:00"
        ]
    );
    // Several times that are skipped, and one at the end of the gap, are one tick.
    assert_eq!(
        berlin("0,30 2,3 * * *", "2026-03-29"),
        [
            "03-29 03:00:00+02:00",
            "03-29 03:30:00+02:00",
            "03-30 02:00:00+02:00"
        ]
    );
    // So are several times of a repeated hour, the first time it comes.
    assert_eq!(
        berlin("0,30 2,3 * * *", "2026-10-25"),
        [
            "10-25 02:00:00+02:00",
            "10-25 02:30:00+02:00",
            "10-25 03:00:00+01:00"
        ]
    );
    // No second chance at the second 02:00, and no tick lies behind its own time.
    let nightly = cron("30 2 * * *", "Europe/Berlin");
    let second = at("2026-10-25T02:10:00+01");
    assert_eq!(
        nightly.next_after(second, second),
        Some(at("2026-10-26T02:30:00+01"))
    );
}

#[test]
fn a_wildcard_follows_the_wall() {
    let berlin = |pattern, date| times(pattern, "Europe/Berlin", date, 3);
    assert_eq!(
        berlin("30 */2 * * *", "2026-03-29"),
        [
            "03-29 00:30:00+01:00",
            "03-29 04:30:00+02:00",
            "03-29 06:30:00+02:00"
        ]
    );
    assert_eq!(
        berlin("30 * * * *", "2026-10-25")[1..],
        ["10-25 01:30:00+02:00", "10-25 02:30:00+02:00"]
    );
    let hourly = cron("30 * * * *", "Europe/Berlin");
    let between = at("2026-10-25T02:30:00+02");
    assert_eq!(
        hourly.next_after(between, between),
        Some(at("2026-10-25T02:30:00+01"))
    );
    let day = |date: &str| {
        let start: jiff::civil::Date = date.parse().unwrap();
        let end = start.tomorrow().unwrap();
        let [start, end] =
            [start, end].map(|date| date.in_tz("Europe/Berlin").unwrap().timestamp());
        hourly.passed(start, start - 1.second(), end).unwrap().count
    };
    assert_eq!(
        [day("2026-03-28"), day("2026-03-29"), day("2026-10-25")],
        [24, 23, 25]
    );
}

#[test]
fn a_gap_may_end_on_another_day() {
    // Saturday 2024-03-30 had no 23:30 in Nuuk: from 23:00 it went to Sunday.
    assert_eq!(
        times("30 23 * * SAT", "America/Nuuk", "2024-03-25", 2),
        ["03-31 00:00:00-01:00", "04-06 23:30:00-01:00"]
    );
    // Samoa had no 30th of December 2011.
    assert_eq!(
        times("0 12 * * *", "Pacific/Apia", "2011-12-29", 3),
        [
            "12-29 12:00:00-10:00",
            "12-31 00:00:00+14:00",
            "12-31 12:00:00+14:00"
        ]
    );
    assert_eq!(
        times("0 */12 * * *", "Pacific/Apia", "2011-12-29", 3),
        [
            "12-29 12:00:00-10:00",
            "12-31 00:00:00+14:00",
            "12-31 12:00:00+14:00"
        ]
    );
}

#[test]
fn half_an_hour_is_a_gap_too() {
    let lord_howe = |date| times("15 2 * * *", "Australia/Lord_Howe", date, 2);
    assert_eq!(
        lord_howe("2026-10-03"),
        ["10-03 02:15:00+10:30", "10-04 02:30:00+11:00"]
    );
    let twice = times("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", 2);
    assert_eq!(twice, ["04-05 01:45:00+11:00", "04-06 01:45:00+10:30"]);
}

#[test]
fn a_century_of_minutes_is_counted_at_once() {
    let (from, until) = (at("1970-01-01T00:00:00Z"), at("2070-01-01T00:00:00Z"));
    let minutely = cron("* * * * *", "Europe/Berlin");
    let begun = std::time::Instant::now();
    let passed = minutely.passed(from, from, until);
    let took = begun.elapsed();
    let expected = Passed {
        count: 36_525 * 1_440 - 1,
        first: at("1970-01-01T00:01:00Z"),
        last: at("2069-12-31T23:59:00Z"),
    };
    assert_eq!(passed, Some(expected));
    // To step through 50 million ticks would take minutes.
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_rare_day_is_found() {
    let anchor = at("2026-01-01T00:00:00Z");
    let next = |pattern| cron(pattern, "Europe/Berlin").next_after(anchor, anchor);
    assert_eq!(next("0 0 29 2 *"), Some(at("2028-02-29T00:00:00+01")));
    assert_eq!(next("0 0 29 2 +MON"), Some(at("2044-02-29T00:00:00+01")));
    assert_eq!(
        next("0 0 12 1 7 * 4000"),
        Some(at("4000-07-01T12:00:00+02"))
    );
    assert_eq!(next("0 0 12 1 7 * 2020"), None);
    let skipped = cron("0 0 29 2 *", "UTC").next_after(anchor, at("2096-02-29T00:00:00Z"));
    assert_eq!(skipped, Some(at("2104-02-29T00:00:00Z")));
}

#[test]
fn there_is_no_tick_after_the_end_of_the_calendar() {
    let anchor = at("2026-01-01T00:00:00Z");
    for zone in [
        "UTC",
        "Europe/Berlin",
        "Pacific/Kiritimati",
        "America/New_York",
    ] {
        let daily = cron("0 0 * * *", zone);
        assert_eq!(daily.next_after(anchor, Timestamp::MAX), None);
        assert!(
            daily
                .next_after(anchor, at("9999-12-28T00:00:00Z"))
                .is_some()
        );
        assert!(daily.next_after(Timestamp::MIN, Timestamp::MIN).is_some());
    }
    let secondly = Schedule::cron("* * * * * *", None).unwrap();
    let last = Timestamp::MAX.as_second();
    let passed = secondly
        .passed(Timestamp::MIN, Timestamp::MIN, Timestamp::MAX)
        .unwrap();
    assert_eq!(
        passed.count,
        u64::try_from(last - Timestamp::MIN.as_second()).unwrap()
    );
    assert_eq!(passed.last.as_second(), last);
}
