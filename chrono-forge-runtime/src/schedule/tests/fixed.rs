//! Fixed grids.

use jiff::{Timestamp, ToSpan};

use super::super::{Passed, Schedule};
use super::{Duration, at, fixed};

#[test]
fn ticks_are_even() {
    let every = fixed(Duration::from_secs(5));
    let anchor = at("2026-05-01T10:00:02Z");
    let next = |after| every.next_after(anchor, at(after));
    assert_eq!(
        next("2026-05-01T10:00:02Z"),
        Some(at("2026-05-01T10:00:07Z"))
    );
    assert_eq!(
        next("2026-05-01T10:00:06.999999999Z"),
        Some(at("2026-05-01T10:00:07Z"))
    );
    assert_eq!(
        next("2026-05-01T10:00:07Z"),
        Some(at("2026-05-01T10:00:12Z"))
    );
}

#[test]
fn a_tick_at_the_cutoff_has_not_passed() {
    let hourly = fixed(Duration::from_secs(3_600));
    let anchor = at("2026-03-01T12:00:00Z");
    let passed = |cutoff| hourly.passed(anchor, anchor - 1.nanosecond(), at(cutoff));
    let three = Passed {
        count: 3,
        first: anchor,
        last: at("2026-03-01T14:00:00Z"),
    };
    assert_eq!(passed("2026-03-01T15:00:00Z"), Some(three));
    assert_eq!(passed("2026-03-01T14:00:00.000000001Z"), Some(three));
    assert_eq!(passed("2026-03-01T15:00:00.000000001Z").unwrap().count, 4);
    assert_eq!(passed("2026-03-01T14:00:00Z").unwrap().count, 2);
    assert_eq!(passed("2026-03-01T12:00:00Z"), None);
    assert_eq!(passed("2026-02-01T12:00:00Z"), None);
}

#[test]
fn a_third_of_a_second_does_not_drift() {
    let thirds = fixed(Duration::from_nanos(333_333_333));
    let anchor = at("2026-01-01T00:00:00Z");
    let passed = thirds
        .passed(anchor, anchor, at("2026-01-01T00:00:01Z"))
        .unwrap();
    assert_eq!(passed.count, 3);
    assert_eq!(passed.first, at("2026-01-01T00:00:00.333333Z"));
    assert_eq!(passed.last, at("2026-01-01T00:00:00.999999Z"));
    // The millionth; steps of whole microseconds would be a third of a second behind by then.
    let million = thirds.next_after(anchor, at("2026-01-04T20:35:33.1Z"));
    assert_eq!(million, Some(at("2026-01-04T20:35:33.333Z")));
}

#[test]
fn a_thousand_million_ticks_are_counted_at_once() {
    let anchor = at("1990-01-01T00:00:00Z");
    let cutoff = anchor + 1_000_000_000.seconds();
    let passed = fixed(Duration::from_secs(1)).passed(anchor, anchor - 1.second(), cutoff);
    assert_eq!(passed.unwrap().count, 1_000_000_000);
    let millis = fixed(Duration::from_millis(1));
    let passed = millis
        .passed(Timestamp::MIN, Timestamp::MIN, Timestamp::MAX)
        .unwrap();
    assert_eq!(passed.count, 631_107_230_401_999);
    assert_eq!(passed.last, at("9999-12-30T22:00:00.999Z"));
}

#[test]
fn there_is_no_tick_after_the_end_of_time() {
    let anchor = at("2026-01-01T00:00:00Z");
    let never = fixed(Duration::MAX);
    assert_eq!(never.next_after(anchor, anchor), None);
    let passed = never
        .passed(anchor, Timestamp::MIN, Timestamp::MAX)
        .unwrap();
    assert_eq!((passed.count, passed.last), (1, anchor));
    assert_eq!(never.next_after(Timestamp::MIN, Timestamp::MIN), None);
    let millis = fixed(Duration::from_millis(1));
    assert_eq!(millis.next_after(anchor, Timestamp::MAX), None);
    assert_eq!(
        millis.passed(Timestamp::MAX, Timestamp::MAX, Timestamp::MAX),
        None
    );
}

#[test]
fn hours_of_a_span_are_a_duration() {
    let span = Schedule::every(90.minutes().into(), None).unwrap();
    let anchor = at("2026-03-29T00:00:00Z");
    assert_eq!(
        span.next_after(anchor, anchor),
        Some(at("2026-03-29T01:30:00Z"))
    );
    let precise = Schedule::every(
        1.hour()
            .milliseconds(1)
            .microseconds(2)
            .nanoseconds(500)
            .into(),
        None,
    );
    let precise = precise.unwrap();
    assert_eq!(
        precise.next_after(anchor, anchor),
        Some(at("2026-03-29T01:00:00.001002Z"))
    );
    let second = precise.next_after(anchor, at("2026-03-29T01:30:00Z"));
    assert_eq!(second, Some(at("2026-03-29T02:00:00.002005Z")));
}
