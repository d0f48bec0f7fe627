//! Cron grids against a clock on the wall that is read every minute.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::cron;
use super::pattern::Pattern;
use super::{Tally, changes, holds, passed};

/// The ticks from `from` to `until`, in unix minutes, by reading the clock on the wall every minute.
///
/// A pattern that names its times is due when the clock first reaches or passes one of them; any other
/// whenever the clock shows a match.
fn model(pattern: &Pattern, zone: &TimeZone, from: i64, until: i64) -> Vec<Timestamp> {
    let mut ticks = Vec::new();
    let mut shown = wall_minute(zone, from - 1);
    for now in from..until {
        let wall = wall_minute(zone, now);
        let is_due = if pattern.names_times() {
            let passed = shown + 1..=wall;
            shown = shown.max(wall);
            passed.into_iter().any(|wall| pattern.matches(wall))
        } else {
            pattern.matches(wall)
        };
        if is_due {
            ticks.push(instant(now));
        }
    }
    ticks
}

fn instant(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

/// Minutes since 1970-01-01T00:00 on the wall.
fn wall_minute(zone: &TimeZone, minute: i64) -> i64 {
    minute + i64::from(zone.to_offset(instant(minute)).seconds()).div_euclid(60)
}

#[test]
fn ticks_are_what_a_reader_of_the_clock_sees() {
    let [moved, skipped, once, twice]: [Tally; 4] = Default::default();
    let stretches = prop_oneof![
        3 => (-2_i64..1_500, 1_600..4_000_i64),
        1 => (-2_i64..2_500, 0..3_000_i64),
    ];
    let values = (
        changes(),
        (Pattern::any(), prop::bool::weighted(0.7)),
        (1_600_i64..3_000, 1_i64..1_600),
        (stretches, -1..2_i64),
    );
    holds(
        160,
        values,
        |((name, zone, change), (pattern, is_aimed), around, ((from, length), nudge))| {
            let change = change.as_second() / 60;
            // What the clock showed before the change and what it shows then: a gap or a repetition.
            let (old, new) = (
                wall_minute(&zone, change - 1) + 1,
                wall_minute(&zone, change),
            );
            let pattern = match is_aimed {
                true => pattern.at_hour(old.min(new).div_euclid(60).rem_euclid(24)),
                false => pattern,
            };
            let (start, end) = (change - around.0, change + around.1);
            let ticks = model(&pattern, &zone, start, end);
            let schedule = cron(&pattern.to_string(), name);
            let pick = |minute: i64| {
                let minute = instant((start + minute).min(end));
                minute + SignedDuration::from_nanos(nudge.min(i64::from(minute < instant(end))))
            };
            let (after, cutoff) = (pick(from), pick(from.max(0) + length));
            let (start, place) = (
                instant(start),
                format!("{pattern} in {name} from {after} to {cutoff}"),
            );
            let expected = passed(&ticks, after, cutoff);
            assert_eq!(schedule.passed(start, after, cutoff), expected, "{place}");
            if let Some(next) = ticks.iter().find(|tick| **tick > after) {
                assert_eq!(schedule.next_after(start, after), Some(*next), "{place}");
            }
            // The hours around the change are what this test is about.
            let touched = (old.min(new)..old.max(new)).any(|wall| pattern.matches(wall));
            let seen = touched && after < instant(change) && instant(change) < cutoff;
            moved.count(seen && old < new && pattern.names_times());
            skipped.count(seen && old < new && !pattern.names_times());
            once.count(seen && old > new && pattern.names_times());
            twice.count(seen && old > new && !pattern.names_times());
        },
    );
    for tally in [moved, skipped, once, twice] {
        tally.at_least(1);
    }
}
