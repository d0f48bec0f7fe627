//! Random schedules against models that step from tick to tick.

mod calendar;
mod cron;
mod croner;
mod fixed;
mod laws;
mod pattern;

use std::cell::Cell;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::Passed;

/// An hour forward and back, half an hour, a lost day, a month of two changes, a gap at midnight or just
/// before it, and none at all.
const ZONES: [&str; 9] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "America/Nuuk",
    "Asia/Kathmandu",
    "UTC",
];

/// Checks random values; the check panics where it does not hold.
fn holds<S: Strategy>(cases: u32, values: S, check: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(&values, |value| {
        check(value);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// How often something came up, so that a test can tell that its values reach what it is about.
#[derive(Default)]
struct Tally(Cell<u32>);

impl Tally {
    fn count(&self, is_so: bool) {
        self.0.set(self.0.get() + u32::from(is_so));
    }

    fn at_least(&self, least: u32) {
        let count = self.0.get();
        assert!(count >= least, "only {count} cases of at least {least}");
    }
}

/// What the ticks of a model, in order and each once, say that passed.
fn passed(ticks: &[Timestamp], after: Timestamp, cutoff: Timestamp) -> Option<Passed> {
    let within: Vec<&Timestamp> = ticks
        .iter()
        .filter(|tick| after < **tick && **tick < cutoff)
        .collect();
    Some(Passed {
        count: within.len() as u64,
        first: **within.first()?,
        last: **within.last()?,
    })
}

/// A zone of [`ZONES`].
fn zones() -> impl Strategy<Value = (&'static str, TimeZone)> {
    prop::sample::select(&ZONES[..]).prop_map(|name| (name, TimeZone::get(name).unwrap()))
}

/// A zone and one of its changes of clocks between 1975 and 2045; any instant if it has none. Now and then
/// the day that Samoa skipped.
fn changes() -> impl Strategy<Value = (&'static str, TimeZone, Timestamp)> {
    let any_change = (zones(), 157_766_400_i64..2_366_841_600).prop_map(|((name, zone), from)| {
        let from = Timestamp::from_second(from / 60 * 60).unwrap();
        let is_change = |at: &Timestamp| direction(&zone, *at) != (false, false);
        let (later, earlier) = (zone.following(from).take(9), zone.preceding(from).take(99));
        let mut changes = later.chain(earlier).map(|change| change.timestamp());
        let change = changes.find(is_change).unwrap_or(from);
        (name, zone, change)
    });
    let lost_day = Just("Pacific/Apia").prop_map(|name| {
        let change = "2011-12-30T10:00:00Z".parse().unwrap();
        (name, TimeZone::get(name).unwrap(), change)
    });
    prop_oneof![8 => any_change, 1 => lost_day]
}

/// Whether clocks go forward at that instant, and whether they go back.
fn direction(zone: &TimeZone, change: Timestamp) -> (bool, bool) {
    let before = zone.to_offset(change - jiff::SignedDuration::from_nanos(1));
    let after = zone.to_offset(change);
    (after > before, after < before)
}
