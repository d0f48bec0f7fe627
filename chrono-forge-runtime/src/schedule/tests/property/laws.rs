//! What holds for every schedule, over stretches too long to step through.

use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;

use super::super::{Schedule, calendar, cron, fixed};
use super::pattern::Pattern;
use super::{Tally, ZONES, holds};

/// One schedule of each kind.
fn schedules() -> impl Strategy<Value = Schedule> {
    let zones = || prop::sample::select(&ZONES[..]);
    prop_oneof![
        (1_000_000_u64..10_000_000_000_000_000)
            .prop_map(|nanos| fixed(std::time::Duration::from_nanos(nanos))),
        (1..400_i64, zones()).prop_map(|(days, zone)| calendar(days.days(), zone)),
        (1..30_i64, zones()).prop_map(|(months, zone)| calendar(months.months(), zone)),
        (Pattern::any(), zones()).prop_map(|(pattern, zone)| cron(&pattern.to_string(), zone)),
        (
            prop::sample::select(&["* * * * * *", "* * * * *", "0 0 29 2 *", "0 0 * * FRI#L"][..]),
            zones()
        )
            .prop_map(|(pattern, zone)| cron(pattern, zone)),
    ]
}

/// Some instant of the years 1916 to 2096, and the longest dormancy from there.
fn instants() -> impl Strategy<Value = Timestamp> {
    (-1_700_000_000_000_i64..4_000_000_000_000)
        .prop_map(|millis| Timestamp::from_millisecond(millis).unwrap())
}

#[test]
fn what_passed_is_the_sum_of_its_parts() {
    let (cut_on_a_tick, century) = (Tally::default(), Tally::default());
    let dormancy = || 0..100_i64 * 365 * 86_400;
    let values = (
        schedules(),
        instants(),
        instants(),
        dormancy(),
        0..1_000_u64,
        any::<bool>(),
    );
    holds(
        96,
        values,
        |(schedule, anchor, from, seconds, part, on_a_tick)| {
            let until = from + SignedDuration::from_secs(seconds);
            let cut =
                from + SignedDuration::from_secs(seconds / 1_000 * i64::try_from(part).unwrap());
            let tick = schedule
                .next_after(anchor, cut)
                .filter(|tick| *tick < until && on_a_tick);
            let cut = tick.unwrap_or(cut);
            let is_tick = schedule.next_after(anchor, cut - 1.nanosecond()) == Some(cut);
            let count = |after, before| {
                schedule
                    .passed(anchor, after, before)
                    .map_or(0, |passed| passed.count)
            };
            let whole = count(from, until);
            let on_the_cut = u64::from(is_tick && from < cut && cut < until);
            assert_eq!(whole, count(from, cut) + on_the_cut + count(cut, until));
            cut_on_a_tick.count(on_the_cut == 1);
            century.count(seconds > 70 * 365 * 86_400);
        },
    );
    cut_on_a_tick.at_least(5);
    century.at_least(5);
}

#[test]
fn the_ends_of_what_passed_are_ticks_with_none_beyond() {
    let some = Tally::default();
    let dormancy = || 0..100_i64 * 365 * 86_400;
    holds(
        96,
        (schedules(), instants(), instants(), dormancy()),
        |(schedule, anchor, after, seconds)| {
            let cutoff = after + SignedDuration::from_secs(seconds);
            let next = schedule.next_after(anchor, after).unwrap();
            assert!(next > after && next >= anchor);
            let Some(passed) = schedule.passed(anchor, after, cutoff) else {
                assert!(next >= cutoff);
                return;
            };
            assert_eq!(passed.first, next);
            assert!(passed.last < cutoff);
            assert_eq!(
                schedule.next_after(anchor, passed.last - 1.nanosecond()),
                Some(passed.last)
            );
            assert!(schedule.next_after(anchor, passed.last).unwrap() >= cutoff);
            assert_eq!(passed.count == 1, passed.first == passed.last);
            some.count(passed.count > 1);
        },
    );
    some.at_least(20);
}

#[test]
fn the_ends_of_time_are_no_trap() {
    let edges = || {
        let near = 0..400_000_i64;
        prop_oneof![
            (near.clone(), 0..2_000_000_000_i64).prop_map(|(secs, nanos)| Timestamp::MIN
                + SignedDuration::new(secs, 0)
                + SignedDuration::from_nanos(nanos)),
            (near, 0..2_000_000_000_i64).prop_map(|(secs, nanos)| Timestamp::MAX
                - SignedDuration::new(secs, 0)
                - SignedDuration::from_nanos(nanos)),
            Just(Timestamp::MIN),
            Just(Timestamp::MAX),
            instants(),
        ]
    };
    holds(
        24,
        (schedules(), edges(), edges(), edges()),
        |(schedule, anchor, after, cutoff)| {
            let next = schedule.next_after(anchor, after);
            let micros = |instant: Timestamp| instant.as_nanosecond().div_euclid(1_000);
            assert!(next.is_none_or(|next| next > after && micros(next) >= micros(anchor)));
            let passed = schedule.passed(anchor, after, cutoff);
            assert_eq!(
                passed.map(|passed| passed.first),
                next.filter(|next| *next < cutoff)
            );
            assert!(schedule.anchor(anchor) >= anchor);
        },
    );
}
