//! The names of spans and events, so that a filter written once keeps working; and how often trouble that
//! lasts is told.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// Target of every event of the engine.
pub const TARGET: &str = "chrono_forge";

/// While something keeps failing it is told again this often, however often it is tried.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Something that fails, perhaps a thousand times a second until a database is back: told when it begins,
/// now and then while it lasts, and once it is over.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Since when it fails.
    since: Option<Instant>,
    /// When it was told last.
    told: Option<Instant>,
    /// The same of what somebody has to mend, which is not kept back because something else was told.
    told_to_mend: Option<Instant>,
}

impl Trouble {
    /// It failed: tells what, if it is time to. What does not pass by itself is told as an error.
    pub fn tell(&mut self, error: &StoreError, what: &str) {
        if !error.needs_mending() {
            if self.is_worth_telling() {
                tracing::warn!(target: TARGET, %error, "{what}");
            }
        } else if self.is_worth_mending() {
            tracing::error!(target: TARGET, %error, "{what}; it goes on once this is mended");
        }
    }

    /// It failed; whether to tell.
    pub fn is_worth_telling(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        is_time(&mut self.told)
    }

    fn is_worth_mending(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        is_time(&mut self.told_to_mend)
    }

    /// It succeeded; for how long it had failed, if it had.
    pub fn over(&mut self) -> Option<Duration> {
        let since = std::mem::take(self).since?;
        Some(since.elapsed())
    }
}

/// Something that is told each time, unless it happens more often than anybody reads.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// It happened: `None` if that was told lately, else how often it was kept back since.
    pub fn tell(&self) -> Option<u64> {
        let mut seldom = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, kept_back) = &mut *seldom;
        if is_time(told) {
            return Some(std::mem::take(kept_back));
        }
        *kept_back += 1;
        None
    }
}

/// Whether it was not told lately; notes that it is told now.
fn is_time(told: &mut Option<Instant>) -> bool {
    let is_time = told.is_none_or(|told| told.elapsed() >= TELL_AGAIN);
    if is_time {
        *told = Some(Instant::now());
    }
    is_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_then_its_end() {
        let mut trouble = Trouble::default();
        assert!(trouble.over().is_none());
        assert!(trouble.is_worth_telling());
        assert!(!trouble.is_worth_telling());
        assert!(trouble.over().is_some());
        assert!(trouble.over().is_none() && trouble.is_worth_telling());
    }

    #[test]
    fn what_happens_often_is_told_seldom() {
        let seldom = Seldom::default();
        assert_eq!((seldom.tell(), seldom.tell()), (Some(0), None));
    }

    #[test]
    fn what_has_to_be_mended_is_told_also_behind_what_passes() {
        let mut trouble = Trouble::default();
        assert!(trouble.is_worth_telling() && trouble.is_worth_mending());
        assert!(!trouble.is_worth_telling() && !trouble.is_worth_mending());
        assert!(trouble.over().is_some());
        assert!(trouble.is_worth_mending() && trouble.over().is_some());
    }
}
