use super::*;

const MILLI: Duration = Duration::from_millis(1);

/// A database whose clock shows `start` at the first instant of the story.
struct Story {
    begun: Instant,
    start: Timestamp,
}

impl Story {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            start: Timestamp::from_second(1_700_000_000).unwrap(),
        }
    }

    fn at(&self, elapsed: Duration) -> Instant {
        self.begun + elapsed
    }

    /// Asked so long after the beginning, with such a round trip, the answer from its middle, by a clock that is
    /// ahead of the story's by so many milliseconds.
    fn sample(&self, elapsed: Duration, round_trip: Duration, ahead_ms: i64) -> Sample {
        let middle = after(self.start, elapsed + round_trip / 2);
        let at = middle + jiff::SignedDuration::from_millis(ahead_ms);
        Sample {
            at,
            asked: self.at(elapsed),
            answered: self.at(elapsed + round_trip),
        }
    }

    /// How many milliseconds a clock is ahead of the story's.
    fn ahead_ms(&self, clock: &DatabaseClock, elapsed: Duration) -> i64 {
        let shown = clock.lock().shown(self.at(elapsed));
        let ahead = shown.duration_since(after(self.start, elapsed));
        i64::try_from(ahead.as_millis()).unwrap()
    }
}

#[test]
fn between_samples_the_monotonic_clock_goes_on_from_the_databases() {
    let story = Story::new();
    let clock = DatabaseClock::new(&story.sample(Duration::ZERO, 4 * MILLI, 0));
    assert_eq!(story.ahead_ms(&clock, 4 * MILLI), 0);
    assert_eq!(story.ahead_ms(&clock, Duration::from_secs(3_600)), 0);
}

#[test]
fn a_slow_answer_is_passed_over_and_a_quick_one_is_taken() {
    let story = Story::new();
    let clock = DatabaseClock::new(&story.sample(Duration::ZERO, 10 * MILLI, 0));
    let second = Duration::from_secs(1);
    assert!(!clock.correct(&story.sample(second, 200 * MILLI, 60)));
    assert_eq!(story.ahead_ms(&clock, 2 * second), 0);
    assert!(clock.correct(&story.sample(2 * second, 2 * MILLI, 3)));
    assert_eq!(story.ahead_ms(&clock, 3 * second), 3);
}

#[test]
fn as_the_quartzes_drift_apart_slower_answers_do() {
    let story = Story::new();
    let clock = DatabaseClock::new(&story.sample(Duration::ZERO, 2 * MILLI, 0));
    let sample = |elapsed| story.sample(elapsed, 20 * MILLI, 5);
    assert!(!clock.correct(&sample(Duration::from_secs(1))));
    assert!(clock.correct(&sample(Duration::from_secs(100))));
}

#[test]
fn a_small_step_back_is_waited_out_and_no_instant_comes_twice() {
    let story = Story::new();
    let clock = DatabaseClock::new(&story.sample(Duration::ZERO, 2 * MILLI, 0));
    let second = Duration::from_secs(1);
    assert!(clock.correct(&story.sample(second, MILLI, -500)));
    // It stands where it was, half a second long.
    assert_eq!(story.ahead_ms(&clock, second + MILLI), 0);
    assert_eq!(story.ahead_ms(&clock, second + 101 * MILLI), -100);
    assert_eq!(story.ahead_ms(&clock, second + 501 * MILLI), -500);
    assert_eq!(story.ahead_ms(&clock, 5 * second), -500);
}

#[test]
fn a_database_whose_clock_was_set_is_followed_even_by_a_slow_answer() {
    let story = Story::new();
    let clock = DatabaseClock::new(&story.sample(Duration::ZERO, 2 * MILLI, 0));
    let second = Duration::from_secs(1);
    assert!(clock.correct(&story.sample(second, 300 * MILLI, -3_600_000)));
    assert_eq!(story.ahead_ms(&clock, 2 * second), -3_600_000);
    // After a suspend we are behind, whatever the round trip.
    assert!(clock.correct(&story.sample(3 * second, 300 * MILLI, 7_200_000)));
    assert_eq!(story.ahead_ms(&clock, 4 * second), 7_200_000);
}
