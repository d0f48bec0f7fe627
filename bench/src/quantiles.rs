//! How long something took that was timed many times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stats;

/// The spread of one round's times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many were timed.
    pub n: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Quantiles {
    /// Of these times, unless there are none.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut millis: Vec<f64> = times.into_iter().map(|t| t.as_secs_f64() * 1e3).collect();
        Some(Self {
            n: millis.len(),
            p50_ms: stats::quantile(&mut millis, 0.5)?,
            p99_ms: stats::quantile(&mut millis, 0.99)?,
            max_ms: stats::quantile(&mut millis, 1.0)?,
        })
    }

    /// How much longer these took than the same on an idle engine, quantile by quantile.
    pub fn beyond(&self, idle: &Self) -> Self {
        Self {
            n: self.n,
            p50_ms: self.p50_ms - idle.p50_ms,
            p99_ms: self.p99_ms - idle.p99_ms,
            max_ms: self.max_ms - idle.max_ms,
        }
    }

    /// The medians of several rounds, and the most of all of them.
    pub fn of_rounds(rounds: &[Self]) -> Option<Self> {
        let median = |of: fn(&Self) -> f64| stats::median(rounds.iter().map(of));
        Some(Self {
            n: rounds.iter().map(|round| round.n).sum(),
            p50_ms: median(|q| q.p50_ms)?,
            p99_ms: median(|q| q.p99_ms)?,
            max_ms: rounds.iter().map(|q| q.max_ms).reduce(f64::max)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(times: impl IntoIterator<Item = u64>) -> Quantiles {
        Quantiles::of(times.into_iter().map(Duration::from_millis)).unwrap()
    }

    #[test]
    fn quantiles_are_of_all_that_was_timed() {
        let quantiles = millis((1..=200).rev());
        assert_eq!(quantiles.n, 200);
        assert_eq!(
            (quantiles.p50_ms, quantiles.p99_ms, quantiles.max_ms),
            (100.0, 198.0, 200.0)
        );
        assert_eq!(Quantiles::of([]), None);
    }

    #[test]
    fn a_delay_is_the_difference_to_the_idle_engine() {
        let delay = millis([10, 20]).beyond(&millis([1, 2, 3]));
        assert_eq!(delay.n, 2);
        assert_eq!((delay.p50_ms, delay.max_ms), (8.0, 17.0));
    }

    #[test]
    fn rounds_make_medians_and_one_maximum() {
        let rounds = [millis([10]), millis([30, 30]), millis([20])];
        let all = Quantiles::of_rounds(&rounds).unwrap();
        assert_eq!((all.n, all.p50_ms, all.max_ms), (4, 20.0, 30.0));
        assert_eq!(Quantiles::of_rounds(&[]), None);
    }
}
