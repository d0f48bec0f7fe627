//! How evenly instants are spread: counts in buckets of 50 ms.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The width of a bucket.
const BUCKET_MS: u128 = 50;

/// Counts by bucket, empty ones left out. A bucket goes by the millisecond at which it begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread(BTreeMap<u64, u64>);

impl Spread {
    /// Counts these delays.
    pub fn of(delays: impl IntoIterator<Item = Duration>) -> Self {
        let mut buckets = BTreeMap::new();
        for delay in delays {
            let begin = delay.as_millis() / BUCKET_MS * BUCKET_MS;
            *buckets.entry(begin as u64).or_default() += 1;
        }
        Self(buckets)
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        for (begin, count) in &other.0 {
            *self.0.entry(*begin).or_default() += count;
        }
    }

    /// Everything that was counted.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Each bucket's part of the whole, in percent, in order.
    pub fn percents(&self) -> Vec<(u64, f64)> {
        let whole = self.total() as f64;
        let percent = |count: u64| (count as f64 / whole * 1e3).round() / 10.0;
        self.0.iter().map(|(b, n)| (*b, percent(*n))).collect()
    }

    /// The part of the fullest bucket, if anything was counted: 1 when all came at once.
    pub fn share_max(&self) -> Option<f64> {
        let fullest = self.0.values().max()?;
        Some(*fullest as f64 / self.total() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(delays: impl IntoIterator<Item = u64>) -> Spread {
        Spread::of(delays.into_iter().map(Duration::from_millis))
    }

    #[test]
    fn a_bucket_begins_with_its_first_millisecond_and_ends_before_the_next() {
        let spread = millis([500, 549, 550, 1_000]);
        assert_eq!(spread, Spread([(500, 2), (550, 1), (1_000, 1)].into()));
        assert_eq!(spread.percents(), [(500, 50.0), (550, 25.0), (1_000, 25.0)]);
    }

    #[test]
    fn the_fullest_bucket_tells_an_even_spread_from_a_crowd() {
        assert_eq!(millis(500..1_000).share_max(), Some(0.1));
        assert_eq!(millis([1_001; 7]).share_max(), Some(1.0));
        assert_eq!(millis([]).share_max(), None);
    }

    #[test]
    fn rounds_add_up() {
        let mut spread = millis([500]);
        spread.add(&millis([510, 700]));
        assert_eq!(spread, millis([500, 510, 700]));
        assert_eq!(spread.total(), 3);
    }
}
