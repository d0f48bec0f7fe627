//! Schedules that cannot be, and what they are told.

use jiff::{Span, ToSpan};

use super::super::{Every, Schedule, ScheduleError};
use super::Duration;

/// The text that refuses this interval.
fn refusal(every: impl Into<Every>, zone: Option<&str>) -> String {
    Schedule::every(every.into(), zone).unwrap_err().to_string()
}

#[test]
fn ticks_are_a_millisecond_apart_at_least() {
    assert!(Schedule::every(Duration::from_millis(1).into(), None).is_ok());
    let below = Duration::from_nanos(999_999);
    assert_eq!(
        Schedule::every(below.into(), None).unwrap_err(),
        ScheduleError::TooOften { every: below }
    );
    for text in [
        refusal(Duration::ZERO, None),
        refusal(999.microseconds(), None),
    ] {
        assert!(text.contains("at least 1 ms"), "{text}");
    }
}

#[test]
fn a_span_leads_forward() {
    for span in [Span::new(), -1.day(), 1.month().days(-3), (-1).seconds()] {
        let text = refusal(span, None);
        assert!(text.contains("positive"), "{text}");
    }
}

#[test]
fn a_duration_knows_no_zone() {
    for every in [
        Every::from(Duration::from_secs(86_400)),
        Every::from(24.hours()),
    ] {
        let text = refusal(every, Some("Europe/Berlin"));
        assert!(
            text.contains("calendar_days(1)") && text.contains("Europe/Berlin"),
            "{text}"
        );
    }
}

#[test]
fn a_zone_has_a_name_of_the_database() {
    for zone in ["Europe/Berlim", "", "CEST", "../etc/passwd"] {
        let unknown = ScheduleError::UnknownZone {
            zone: zone.to_owned(),
        };
        assert_eq!(
            Schedule::every(1.day().into(), Some(zone)).unwrap_err(),
            unknown
        );
        assert_eq!(Schedule::cron("@daily", Some(zone)).unwrap_err(), unknown);
    }
    assert!(Schedule::cron("@daily", Some("europe/berlin")).is_ok());
}

#[test]
fn a_pattern_parses() {
    for pattern in [
        "",
        "every day",
        "* * * *",
        "* * * * * * * *",
        "61 * * * *",
        "0 24 * * *",
        "5/10 * * * *",
        "@reboot",
        "0 , * * *",
        "0,30, * * * *",
        ",5 * * * *",
        "0 0 1,,15 * *",
    ] {
        let error = Schedule::cron(pattern, None).unwrap_err();
        assert!(
            matches!(&error, ScheduleError::BadPattern { .. }),
            "{pattern}: {error}"
        );
        assert!(error.to_string().contains("0 9 * * MON-FRI"), "{error}");
    }
}

#[test]
fn a_pattern_matches_some_day() {
    for pattern in [
        "0 0 31 2 *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 2 +MON",
        "0 0 0 29 2 * 2025",
    ] {
        let pattern = pattern.to_owned();
        let error = Schedule::cron(&pattern, None).unwrap_err();
        assert_eq!(error, ScheduleError::NeverMatches { pattern });
    }
    // A Monday of February is enough.
    assert!(Schedule::cron("0 0 31 2 MON", None).is_ok());
}
