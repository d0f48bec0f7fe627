//! Fixed grids against steps of exact nanoseconds.

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::fixed;
use super::{Tally, holds, passed};

/// The ticks from the anchor on, until one that is not before `end`.
fn model(anchor: i128, every: i128, end: i128) -> Vec<Timestamp> {
    let mut ticks = Vec::new();
    let mut exact = anchor;
    loop {
        let below_micro = exact.rem_euclid(1_000);
        ticks.push(Timestamp::from_nanosecond(exact - below_micro).unwrap());
        if exact - below_micro > end {
            return ticks;
        }
        exact += every;
    }
}

/// On a tick, next to one, or anywhere between two.
fn nudges() -> impl Strategy<Value = i128> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(-1),
        Just(-1_000),
        Just(1_000),
        (-1_000_000_000_i64..1_000_000_000).prop_map(i128::from)
    ]
}

fn distances() -> impl Strategy<Value = i128> {
    let below = |exponent| 10_i64.pow(exponent)..10_i64.pow(exponent + 3);
    prop_oneof![below(6), below(9), below(12), 1..1_000_i64].prop_map(|every| {
        i128::from(if every < 1_000 {
            every * 1_000_000
        } else {
            every
        })
    })
}

#[test]
fn ticks_are_exact_multiples() {
    let (on_a_tick, early) = (Tally::default(), Tally::default());
    let values = (
        distances(),
        (-4_000_000_000_i64..4_000_000_000, 0..1_000_000_000_i64),
        (0..1_000_usize, nudges()),
        (0..1_000_usize, nudges()),
        prop::bool::weighted(0.1),
    );
    holds(200, values, |(every, anchor, after, cutoff, is_early)| {
        let anchor = i128::from(anchor.0) * 1_000_000_000 + i128::from(anchor.1);
        let reach = i128::try_from(after.0 + cutoff.0 + 2).unwrap();
        let ticks = model(anchor, every, anchor + reach * every + 2_000_000_000);
        let instant = |nanos| Timestamp::from_nanosecond(nanos).unwrap();
        let near = |at: usize, nudge: i128| instant(ticks[at].as_nanosecond() + nudge);
        let cutoff = near(after.0 + cutoff.0, cutoff.1);
        let after = match is_early {
            true => instant(anchor - every),
            false => near(after.0, after.1),
        };
        let schedule = fixed(std::time::Duration::from_nanos(every.try_into().unwrap()));
        let next = ticks.iter().find(|tick| **tick > after).copied();
        assert_eq!(schedule.next_after(instant(anchor), after), next);
        assert_eq!(
            schedule.passed(instant(anchor), after, cutoff),
            passed(&ticks, after, cutoff)
        );
        on_a_tick.count(ticks.contains(&cutoff));
        early.count(is_early);
    });
    on_a_tick.at_least(5);
    early.at_least(3);
}
