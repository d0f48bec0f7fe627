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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Every;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(second, 0)
    }

    fn repeat(every_secs: u64, timeout_secs: u64) -> Repeat {
        let every = Every::from(Duration::from_secs(every_secs));
        Repeat {
            schedule: Schedule::every(every, None).unwrap(),
            start_at: None,
            timeout: Duration::from_secs(timeout_secs),
            on_error: OnError::default(),
        }
    }

    fn expired(count: u64, first: i64, last: i64) -> Option<Passed> {
        let (first, last) = (at(first), at(last));
        Some(Passed { count, first, last })
    }

    #[test]
    fn nothing_expires_before_the_timeout() {
        let look = repeat(10, 30).look(at(0), at(0), at(35));
        assert_eq!((look.expired, look.next), (None, Next::Run(at(10))));
    }

    #[test]
    fn the_tick_at_the_cutoff_is_the_first_that_runs() {
        let look = repeat(10, 30).look(at(0), at(0), at(70));
        assert_eq!(
            (look.expired, look.next),
            (expired(3, 10, 30), Next::Run(at(40)))
        );
    }

    #[test]
    fn what_expired_may_be_all_there_was() {
        let look = repeat(10, 3).look(at(0), at(0), at(38));
        assert_eq!(look.expired, expired(3, 10, 30));
        assert_eq!(look.next, Next::Wait(Some(at(40))));
    }

    #[test]
    fn a_clock_that_was_set_back_waits_for_the_next_tick() {
        let look = repeat(10, 3).look(at(0), at(100), at(38));
        assert_eq!((look.expired, look.next), (None, Next::Wait(Some(at(110)))));
    }

    #[test]
    fn a_start_is_a_tick_and_a_beginning_without_one_is_none() {
        let mut started = repeat(10, 3);
        let (anchor, frontier) = started.begin(at(5));
        assert_eq!(
            started.look(anchor, frontier, at(15)).next,
            Next::Run(at(15))
        );
        started.start_at = Some(at(7));
        let (anchor, frontier) = started.begin(at(5));
        assert_eq!(
            started.look(anchor, frontier, at(5)).next,
            Next::Wait(Some(at(7)))
        );
    }

    #[test]
    fn the_end_of_time_is_waited_for_without_a_timer() {
        let look = repeat(10, u64::MAX).look(at(0), Timestamp::MAX, Timestamp::MAX);
        assert_eq!((look.expired, look.next), (None, Next::Wait(None)));
    }
}
