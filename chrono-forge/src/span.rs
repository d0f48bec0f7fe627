//! Short names for durations.

use std::time::Duration;

/// So many seconds.
///
/// ```
/// assert_eq!(chrono_forge::secs(90), std::time::Duration::from_secs(90));
/// ```
#[must_use]
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many minutes of 60 seconds.
///
/// ```
/// assert_eq!(chrono_forge::minutes(2), chrono_forge::secs(120));
/// ```
#[must_use]
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n.saturating_mul(60))
}

/// So many hours of 60 minutes.
///
/// ```
/// assert_eq!(chrono_forge::hours(48), chrono_forge::days(2));
/// ```
#[must_use]
pub const fn hours(n: u64) -> Duration {
    minutes(n.saturating_mul(60))
}

/// So many days of 24 hours; not a calendar day.
///
/// ```
/// assert_eq!(chrono_forge::days(1), chrono_forge::secs(86_400));
/// ```
#[must_use]
pub const fn days(n: u64) -> Duration {
    hours(n.saturating_mul(24))
}
