//! Cron grids against the search of the crate that reads their patterns, over longer stretches.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::super::Passed;
use super::super::cron;
use super::pattern::Pattern;
use super::{Tally, holds, zones};

/// Where both mean the same. Croner takes only a single time of day as named, where more than one is
/// here too; it gives up on a gap of more than two hours, and drops a time whose gap ends on a day that
/// does not match.
fn patterns() -> impl Strategy<Value = Pattern> {
    Pattern::any().prop_filter("read alike", |pattern| {
        !pattern.names_times() || (pattern.minute.is_one() && pattern.hour.is_one())
    })
}

#[test]
fn ticks_follow_each_other_as_croner_has_them() {
    let long = Tally::default();
    let apart = ["Pacific/Apia", "America/Nuuk"];
    let zones = zones().prop_filter("no long gap", move |zone| !apart.contains(&zone.0));
    let values = (
        zones,
        patterns(),
        157_766_400_i64..2_366_841_600,
        0..1_000_i64,
    );
    holds(48, values, |((name, zone), pattern, second, millis)| {
        let start = Timestamp::from_second(second).unwrap() + SignedDuration::from_millis(millis);
        let text = pattern.to_string();
        let parsed = croner::Cron::from_str(&text).unwrap();
        let schedule = cron(&text, name);
        let (mut tick, mut other) = (start, start.to_zoned(zone));
        let mut ticks = Vec::new();
        for _ in 0..60 {
            other = parsed.find_next_occurrence(&other, false).unwrap();
            tick = schedule.next_after(start, tick).unwrap();
            // Croner keeps the fraction of where it starts.
            let expected = Timestamp::from_second(other.timestamp().as_second()).unwrap();
            assert_eq!(tick, expected, "{text} in {name} after {:?}", ticks.last());
            other = expected.to_zoned(other.time_zone().clone());
            ticks.push(tick);
        }
        let passed = Passed {
            count: 59,
            first: ticks[0],
            last: ticks[58],
        };
        assert_eq!(schedule.passed(start, start, ticks[59]), Some(passed));
        long.count(start.duration_until(ticks[59]).as_hours() > 24 * 30);
    });
    long.at_least(3);
}
