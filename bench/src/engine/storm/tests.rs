//! The storm rages, is counted and is spread.

use super::*;

fn storm(shape: &Shape) -> Sample {
    let home = tempfile::tempdir().unwrap();
    measure(&Place::File(home.path().join("storm.db")), shape).unwrap()
}

const SHAPE: Shape = Shape {
    healthy: 200,
    failing: 40,
    hanging: false,
    jitter: true,
    backtraces: false,
};

#[test]
fn every_failing_run_is_tried_again_within_its_band() {
    let sample = storm(&SHAPE);
    assert_eq!(sample.units, 200);
    let spread = sample.storm.unwrap().first_retries;
    assert_eq!(spread.total(), 40);
    let earliest = spread.percents()[0].0;
    // From half of the base; without jitter from the whole of it.
    assert!((500..1_000).contains(&earliest), "{spread:?}");
}

#[test]
fn without_jitter_no_run_is_tried_again_before_the_whole_delay() {
    let sample = storm(&Shape {
        jitter: false,
        ..SHAPE
    });
    let spread = sample.storm.unwrap().first_retries;
    assert_eq!(spread.total(), 40);
    assert!(spread.percents()[0].0 >= 1_000, "{spread:?}");
}

#[test]
fn hanging_runs_take_no_more_than_the_slots_of_their_queue() {
    let sample = storm(&Shape {
        hanging: true,
        ..SHAPE
    });
    assert_eq!(sample.units, 200);
    // A slot begins an attempt a second, and one when the measurement begins.
    let most = FRAGILE_SLOTS as f64 * (sample.seconds + 1.0);
    let attempts = sample.storm.unwrap().attempts;
    assert!(
        attempts as f64 <= most,
        "{attempts} in {} s",
        sample.seconds
    );
}

#[test]
fn without_failing_runs_there_is_no_storm() {
    let sample = storm(&Shape {
        failing: 0,
        ..SHAPE
    });
    assert!(sample.storm.is_none());
    assert!(sample.p99_ms.is_some() && sample.p50_ms.is_none());
}
