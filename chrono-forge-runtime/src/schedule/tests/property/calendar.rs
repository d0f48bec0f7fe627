//! Calendar grids against the definition: the anchor's wall time plus n spans, placed in the zone.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, ToSpan};
use proptest::prelude::*;

use super::super::calendar;
use super::{Tally, changes, direction, holds, passed};

/// How a time on the wall meets its instant.
#[derive(Clone, Copy, PartialEq)]
enum Meets {
    Once,
    /// The zone skips it.
    Never,
    Twice,
}

/// Where a time on the wall lies, found by trying the offsets of the days around it.
fn place(zone: &TimeZone, wall: DateTime) -> (Timestamp, Meets) {
    let utc = wall.to_zoned(TimeZone::UTC).unwrap().timestamp();
    let around = [-36, 36].map(|hours| zone.to_offset(utc + SignedDuration::from_hours(hours)));
    let [before, after] = around.map(|offset| {
        let instant = utc - SignedDuration::from_secs(offset.seconds().into());
        (instant, zone.to_datetime(instant) == wall)
    });
    match (before, after) {
        ((one, true), (other, true)) if one != other => (one.min(other), Meets::Twice),
        ((instant, true), _) | (_, (instant, true)) => (instant, Meets::Once),
        // As far behind the gap as the time is into it: by the offset that was in force before.
        ((instant, false), _) => (instant, Meets::Never),
    }
}

fn model(anchor: Timestamp, span: Span, zone: &TimeZone, count: i64) -> Vec<(Timestamp, Meets)> {
    let wall = zone.to_datetime(anchor);
    let mut ticks = vec![(anchor, Meets::Once)];
    for n in 1..count {
        let tick = place(zone, wall + span.checked_mul(n).unwrap());
        if tick.0 != ticks[ticks.len() - 1].0 {
            ticks.push(tick);
        }
    }
    ticks
}

/// Spans of a day to some years, now and then with hours, and how many of them a case may take.
fn spans() -> impl Strategy<Value = (Span, i64)> {
    let days = prop_oneof![4 => Just(1_i64), 1 => 2..400_i64].prop_map(|days| (days.days(), 700));
    let mixed = (1..40_i64, 0..30_i64, 0..90_i64)
        .prop_map(|(days, hours, minutes)| (days.days().hours(hours).minutes(minutes), 300));
    let months = (1..30_i64).prop_map(|months| (months.months(), 480));
    let years = (0..3_i64, 1..14_i64, 0..3_i64)
        .prop_map(|(years, months, weeks)| (years.years().months(months).weeks(weeks), 30));
    prop_oneof![4 => days, 2 => mixed, 3 => months, 1 => years]
}

#[test]
fn ticks_keep_their_time_on_the_wall() {
    let (skipped, twice) = (Tally::default(), Tally::default());
    let values = (
        changes(),
        spans(),
        // Minutes on the wall from the change of clocks at which a tick shall lie, and which tick that is.
        (-60_i64..60, 0..20_i64),
        (-5_i64..700, 0..700_i64, -1..2_i64),
    );
    holds(
        128,
        values,
        |(change, (span, count), near, (from, length, nudge))| {
            let (name, zone, change) = change;
            // On the wall, since half of these times may not exist.
            let wall = zone.to_datetime(change - 1.minute()) + near.0.minutes();
            let anchor_wall = wall - span.checked_mul(near.1).unwrap();
            let anchor = place(&zone, anchor_wall).0;
            let model = model(anchor, span, &zone, count);
            let ticks: Vec<Timestamp> = model.iter().map(|tick| tick.0).collect();
            let nudge = SignedDuration::from_nanos(nudge);
            let pick = |at: i64| ticks[usize::try_from(at.max(0)).unwrap() % ticks.len()] + nudge;
            let (after, cutoff) = (pick(from), pick(from + length));
            let schedule = calendar(span, name);
            assert_eq!(
                schedule.passed(anchor, after, cutoff),
                passed(&ticks, after, cutoff),
                "from {after} to {cutoff}"
            );
            let next = ticks.iter().find(|tick| **tick > after).copied();
            if let Some(next) = next {
                assert_eq!(schedule.next_after(anchor, after), Some(next));
            }
            let around = |tick: &&(Timestamp, Meets)| {
                (tick.0 - change).total(jiff::Unit::Hour).unwrap().abs() < 26.0
            };
            let mut near = model.iter().filter(around);
            skipped.count(
                near.clone().any(|tick| tick.1 == Meets::Never) && direction(&zone, change).0,
            );
            twice.count(near.any(|tick| tick.1 == Meets::Twice));
        },
    );
    skipped.at_least(3);
    twice.at_least(3);
}

#[test]
fn monthly_on_the_31st_is_the_last_day_of_every_month() {
    let clamped = Tally::default();
    let values = (changes(), 1_930_i16..2_080, 0..100_i64, 0..24_i8, 0..60_i8);
    holds(
        32,
        values,
        |((name, zone, _), year, years, hour, minute)| {
            let wall = jiff::civil::date(year, 1, 31).at(hour, minute, 0, 0);
            let anchor = place(&zone, wall).0;
            let schedule = calendar(1.month(), name);
            let mut tick = anchor;
            for month in 1..=years * 12 {
                tick = schedule.next_after(anchor, tick).unwrap();
                let date = wall.date().first_of_month() + month.months();
                let last = date.last_of_month().at(hour, minute, 0, 0);
                assert_eq!(tick, place(&zone, last).0, "month {month}");
                clamped.count(date.days_in_month() < 31);
            }
            let passed = schedule.passed(anchor, anchor, tick);
            let count = u64::try_from(years * 12).unwrap().saturating_sub(1);
            assert_eq!(passed.map_or(0, |passed| passed.count), count);
        },
    );
    clamped.at_least(500);
}
