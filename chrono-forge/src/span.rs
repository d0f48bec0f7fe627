//! Short names for durations and calendar spans.

use std::time::Duration;

use jiff::Span;

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

/// So many days of 24 hours. A calendar day, which has 23 or 25 of them where clocks are changed, is
/// [`calendar_days`].
///
/// ```
/// assert_eq!(chrono_forge::days(1), chrono_forge::secs(86_400));
/// ```
#[must_use]
pub const fn days(n: u64) -> Duration {
    hours(n.saturating_mul(24))
}

/// So many calendar days: the same time of day on a later date, as `every` of a repeat understands it.
///
/// `days(1)` is 24 hours, so a task that is due every `days(1)` at nine is due at ten once clocks
/// have gone forward; every `calendar_days(1)` it stays at nine. More days than the calendar has are as
/// many as it has.
///
/// ```
/// use chrono_forge::jiff::civil::date;
/// use chrono_forge::{calendar_days, days};
///
/// let before = date(2026, 3, 28).at(9, 0, 0, 0).in_tz("Europe/Berlin")?;
/// let same_time = date(2026, 3, 29).at(9, 0, 0, 0).in_tz("Europe/Berlin")?;
/// assert_eq!(before.checked_add(calendar_days(1))?, same_time);
/// assert_eq!(before.checked_add(days(1))?.hour(), 10);
/// # Ok::<(), chrono_forge::jiff::Error>(())
/// ```
#[must_use]
pub fn calendar_days(n: u32) -> Span {
    const MAX: i64 = 7_304_484;
    Span::new()
        .try_days(i64::from(n).min(MAX))
        .unwrap_or_default()
}

/// So many months of the calendar: the same day and time of day of a later month, or that month's last
/// day where it is too short. More months than the calendar has are as many as it has.
///
/// ```
/// use chrono_forge::jiff::civil::date;
///
/// let february = date(2026, 1, 31).checked_add(chrono_forge::months(1))?;
/// assert_eq!(february, date(2026, 2, 28));
/// # Ok::<(), chrono_forge::jiff::Error>(())
/// ```
#[must_use]
pub fn months(n: u32) -> Span {
    const MAX: i64 = 239_976;
    Span::new()
        .try_months(i64::from(n).min(MAX))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_at_most_the_calendar() {
        assert_eq!(calendar_days(u32::MAX).get_days(), 7_304_484);
        assert_eq!(months(u32::MAX).get_months(), 239_976);
        assert_eq!(calendar_days(3).get_days(), 3);
        assert_eq!(months(3).get_months(), 3);
    }
}
