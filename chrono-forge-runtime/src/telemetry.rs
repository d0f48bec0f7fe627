//! The names of spans and events, so that a filter written once keeps working; and how often trouble that
//! lasts is told.

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
    fn what_has_to_be_mended_is_told_also_behind_what_passes() {
        let mut trouble = Trouble::default();
        assert!(trouble.is_worth_telling() && trouble.is_worth_mending());
        assert!(!trouble.is_worth_telling() && !trouble.is_worth_mending());
        assert!(trouble.over().is_some());
        assert!(trouble.is_worth_mending() && trouble.over().is_some());
    }
}
