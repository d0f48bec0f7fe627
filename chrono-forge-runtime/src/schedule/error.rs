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

    /// A cron pattern does not parse.
    #[error(
        "the cron pattern {pattern:?} does not parse ({problem}); write five fields, as in \"0 9 * * MON-FRI\": minute, hour, day of the month, month, day of the week"
    )]
    BadPattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },

    /// No time on any wall matches a cron pattern.
    #[error(
        "the cron pattern {pattern:?} never matches; name a day that some month has, as in \"0 0 L 2 *\" for the last of February"
    )]
    NeverMatches {
        /// The pattern as given.
        pattern: String,
    },
}
