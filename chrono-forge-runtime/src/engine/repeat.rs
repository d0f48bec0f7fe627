//! What a repeat does next: skip what expired, run what is due, wait for what is not. Pure: no clock,
//! no I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::schedule::{Passed, Schedule};

/// A repeat as its call describes it.
#[derive(Clone, Debug)]
pub struct Repeat {
    pub schedule: Schedule,
    /// The first tick of an interval grid, the earliest of a cron pattern.
    pub start_at: Option<Timestamp>,
    /// How late a tick may begin.
    pub timeout: Duration,
    pub on_error: OnError,
}

/// What a repeat does about a tick that gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Goes on with the next tick; the failed one is told by its row and its error rows.
    #[default]
    Continue,
    /// Ends with the tick's failure as its [`StepError`](crate::error::StepError). A retry by hand
    /// runs that tick again.
    Fail,
}

/// What there is to do, seen at one instant.
#[derive(Debug, PartialEq, Eq)]
pub struct Look {
    /// Ticks whose time to begin is over.
    pub expired: Option<Passed>,
    pub next: Next,
}

/// The first tick that has not expired.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// It is due.
    Run(Timestamp),
    /// It comes then; `None`: never.
    Wait(Option<Timestamp>),
}

impl Repeat {
    /// Where the grid begins and the newest tick that is over, for a repeat that begins now.
    #[must_use]
    pub fn begin(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        match self.start_at {
            // The start is a tick itself.
            Some(start) => (start, before(start)),
            None => {
                let anchor = self.schedule.anchor(now);
                (anchor, anchor)
            }
        }
    }

    /// Looks at the grid behind `frontier`. A tick expires once it is late by more than the timeout.
    #[must_use]
    pub fn look(&self, anchor: Timestamp, frontier: Timestamp, now: Timestamp) -> Look {
        let cutoff = now.checked_sub(self.timeout).unwrap_or(Timestamp::MIN);
        let expired = self.schedule.passed(anchor, frontier, cutoff);
        let frontier = expired.as_ref().map_or(frontier, |expired| expired.last);
        let next = match self.schedule.next_after(anchor, frontier) {
            Some(tick) if tick <= now => Next::Run(tick),
            tick => Next::Wait(tick),
        };
        Look { expired, next }
    }
}

/// The instant before, as instants are stored.
fn before(instant: Timestamp) -> Timestamp {
    instant
        .checked_sub(Duration::from_micros(1))
        .unwrap_or(instant)
}
