//! How often a branch is audited: soon while it is about to end, rarely while it has long to go or
//! nothing moves.

use std::time::Duration;

use crate::clock::until;
use crate::record::{BranchSample, eta};

/// The shortest time between two audits of a branch, and the age from which one is audited.
pub const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// The longest.
pub const INTERVAL_MAX: Duration = Duration::from_secs(600);

/// Audits until the projected end.
const AUDITS_PER_ETA: u32 = 4;

/// What two looks at a branch tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Children completed in a million seconds; `None` when no time has passed.
    pub rate_micros: Option<u64>,
    /// Until the next audit.
    pub interval: Duration,
}

/// The pace between two looks. The next audit is after a fourth of the time that the pending children need
/// at this rate; when none completed, after twice the time between the looks.
#[must_use]
pub fn pace(before: &BranchSample, now: &BranchSample) -> Pace {
    let elapsed = until(before.at, now.at);
    let completed = now.completed().saturating_sub(before.completed());
    let rate_micros = (u128::from(completed) * 1_000_000_000_000)
        .checked_div(elapsed.as_micros())
        .map(|rate| u64::try_from(rate).unwrap_or(u64::MAX));
    let interval = match rate_micros.and_then(|rate| eta(now.pending, rate)) {
        Some(eta) => eta / AUDITS_PER_ETA,
        None => elapsed.saturating_mul(2),
    };
    Pace {
        rate_micros,
        interval: interval.clamp(INTERVAL_MIN, INTERVAL_MAX),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn sample(second: i64, spawned: u64, pending: u64) -> BranchSample {
        BranchSample {
            at: Timestamp::from_second(second).unwrap(),
            spawned,
            pending,
        }
    }

    fn interval(before: BranchSample, now: BranchSample) -> u64 {
        pace(&before, &now).interval.as_secs()
    }

    #[test]
    fn the_next_audit_is_after_a_fourth_of_the_time_to_the_end() {
        // 20 a second, 800 left.
        assert_eq!(
            interval(sample(0, 1_000, 1_000), sample(10, 1_000, 800)),
            10
        );
        // 0.1 a second, 100,000 left.
        assert_eq!(
            interval(sample(0, 100_001, 100_001), sample(10, 100_001, 100_000)),
            600
        );
        // 1,000 a second, one left.
        assert_eq!(interval(sample(0, 1_001, 1_001), sample(1, 1_001, 1)), 5);
        // Dispatch goes on: what counts is what completed, here 10 in 10 s, 90 left.
        assert_eq!(interval(sample(0, 50, 50), sample(10, 100, 90)), 22);
    }

    #[test]
    fn without_motion_it_backs_off_by_doubling() {
        let mut at = 5;
        let mut taken = Vec::new();
        while taken.last() != Some(&600) {
            let before = sample(at, 10, 10);
            at += taken.last().copied().unwrap_or(5) as i64;
            taken.push(interval(before, sample(at, 10, 10)));
        }
        assert_eq!(taken, [10, 20, 40, 80, 160, 320, 600]);
        let at_once = pace(&sample(0, 10, 10), &sample(0, 10, 9));
        assert_eq!((at_once.rate_micros, at_once.interval.as_secs()), (None, 5));
    }

    #[test]
    fn a_rate_is_what_completed_in_the_time_between() {
        let rate = |pending| pace(&sample(0, 50, 50), &sample(60, 50, pending)).rate_micros;
        assert_eq!(rate(40), Some(166_666));
        assert_eq!(rate(50), Some(0));
        let back = pace(&sample(60, 50, 50), &sample(0, 50, 40));
        assert_eq!(back.rate_micros, None, "a clock that was set back");
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds_and_a_longer_way_is_not_looked_at_more_often(
            elapsed in 0_i64..1_000_000, spawned in 0_u64..u64::MAX / 2,
            pending in 0_u64..u64::MAX / 2, done in 0_u64..10_000_000, more in 0_u64..1_000_000,
        ) {
            let (spawned, more) = (spawned.max(pending.saturating_add(done)), more.min(pending));
            let before = sample(0, spawned, pending);
            let now = sample(elapsed, spawned, pending.saturating_sub(done));
            let pace = pace(&before, &now);
            prop_assert!((INTERVAL_MIN..=INTERVAL_MAX).contains(&pace.interval));
            prop_assert_eq!(pace.rate_micros.is_none(), elapsed == 0);
            // The same number completed, with fewer to go.
            let closer = super::pace(
                &sample(0, spawned - more, pending - more),
                &sample(elapsed, spawned - more, (pending - more).saturating_sub(done)),
            );
            if pending - more >= done {
                prop_assert!(closer.interval <= pace.interval);
            }
        }
    }
}
