//! Why a schedule cannot be.

use std::time::Duration;

/// A schedule that no repeat can follow; the text names the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Ticks would be closer together than a millisecond.
    #[error("a repeat cannot be due every {every:?}; let `every` be at least 1 ms")]
    TooOften {
        /// The distance asked for.
        every: Duration,
    },

    /// A calendar span is zero or negative.
    #[error("the span {span:?} leads nowhere; let `every` be positive, as `months(1)` is")]
    Backward {
        /// The span in ISO 8601.
        span: String,
    },

    /// A zone was named for a duration, which is the same everywhere.
    #[error(
        "a fixed duration knows no time zone, so {zone:?} says nothing; use `calendar_days(1)` or `months(1)` for ticks at a time of day, or leave out the zone"
    )]
    ZoneOfDuration {
        /// The zone asked for.
        zone: String,
    },

    /// No time zone has this name.
    #[error(
        "there is no time zone {zone:?}; use a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\""
    )]
    UnknownZone {
        /// The name as given.
        zone: String,
    },
}
