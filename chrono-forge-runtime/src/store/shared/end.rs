//! What the end of a pass leaves on the run's row.

use jiff::Timestamp;

use super::arrivals::Now;
use crate::record::{Due, RunEnd, RunState};

/// See the module; instants are microseconds.
pub(in crate::store) struct EndRow<'a> {
    pub(in crate::store) state: RunState,
    pub(in crate::store) wake_at: Option<i64>,
    pub(in crate::store) attempts: Option<u32>,
    pub(in crate::store) retry_counts: Option<&'a str>,
    pub(in crate::store) stalled_by: Option<&'a str>,
    pub(in crate::store) dropped_foreign: bool,
}

impl<'a> EndRow<'a> {
    /// What this end leaves; a completion also leaves its output. `woken`: a wake-up came during the pass.
    pub(in crate::store) fn of(end: &'a RunEnd, woken: bool, now: Now) -> Self {
        // What is due at once has arrived with this commit.
        let stored = |due: Due| match due {
            Due::AtOnce { .. } => now.due,
            Due::At(_) => due.to_micros(),
        };
        let row = Self::new;
        match end {
            RunEnd::Completed { .. } => row(RunState::Completed),
            // A wake-up that came during the pass: the flag stays for the claim to clear.
            RunEnd::Parked {
                wake_at,
                dropped_foreign,
            } => Self {
                wake_at: if woken {
                    Some(now.due)
                } else {
                    wake_at.map(stored)
                },
                dropped_foreign: *dropped_foreign,
                ..row(RunState::Idle)
            },
            RunEnd::Retrying {
                wake_at,
                attempts,
                retry_counts,
            } => Self {
                wake_at: Some(stored(*wake_at)),
                attempts: Some(*attempts),
                retry_counts: Some(retry_counts),
                ..row(RunState::Idle)
            },
            RunEnd::Released { .. } => Self {
                wake_at: Some(now.due),
                ..row(RunState::Idle)
            },
            RunEnd::Failed {
                attempts,
                retry_counts,
                ..
            } => Self {
                attempts: Some(*attempts),
                retry_counts: retry_counts.as_deref(),
                ..row(RunState::Failed)
            },
            RunEnd::Stalled {
                step_name,
                attempts,
                ..
            } => Self {
                attempts: *attempts,
                stalled_by: Some(step_name),
                ..row(RunState::Stalled)
            },
        }
    }

    fn new(state: RunState) -> Self {
        Self {
            state,
            wake_at: None,
            attempts: None,
            retry_counts: None,
            stalled_by: None,
            dropped_foreign: false,
        }
    }
}

/// A deadline of a record in microseconds, rounded up: nothing may become due before its instant.
pub(in crate::store) fn deadline(at: Timestamp) -> i64 {
    let micros = at.as_microsecond();
    let ahead = at.as_nanosecond() > i128::from(micros) * 1_000;
    micros + i64::from(ahead)
}
