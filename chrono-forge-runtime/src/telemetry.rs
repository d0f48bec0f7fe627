//! The names of spans and events, so that a filter written once keeps working; and how often trouble that
//! lasts is told.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// Target of every event of the engine.
pub const TARGET: &str = "chrono_forge";

/// While something keeps failing it is told again this often, however often it is tried.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// What passes by itself within a moment in a healthy service is told once it has lasted this long.
const LASTS: Duration = Duration::from_secs(1);

/// Something that fails, perhaps a thousand times a second until a database is back: told when it
/// begins, now and then while it lasts, and once it is over. If it comes and goes, as a row that
/// others lock again and again, that is told now and then, too, and its end only where its
/// beginning was.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Since when it fails.
    since: Option<Instant>,
    /// When it was told last, this time or before.
    told: Option<Instant>,
    /// The same of what somebody has to mend, which is not kept back because something else was told.
    told_to_mend: Option<Instant>,
    /// It was told this time.
    is_told: bool,
}

impl Trouble {
    /// It failed: tells what, if it is time to.
    pub fn tell(&mut self, error: &StoreError, what: &str) {
        if self.is_time_to_tell(error) {
            tell(error, what);
        }
    }

    /// It failed; whether to [`tell`].
    pub fn is_time_to_tell(&mut self, error: &StoreError) -> bool {
        match error.needs_mending() {
            true => self.is_worth_mending(),
            false => self.is_worth_telling(),
        }
    }

    /// As [`Trouble::tell`], of what passes by itself within a moment in a healthy service, too.
    pub fn tell_if_it_lasts(&mut self, error: &StoreError, what: &str) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= LASTS {
            self.tell(error, what);
        }
    }

    /// It failed; whether to tell.
    pub fn is_worth_telling(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        let is_time = is_time(&mut self.told);
        self.is_told |= is_time;
        is_time
    }

    fn is_worth_mending(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        let is_time = is_time(&mut self.told_to_mend);
        self.is_told |= is_time;
        is_time
    }

    /// It succeeded: tells `what`, and for how long it had failed, if that was told. Whether it had
    /// failed.
    pub fn end(&mut self, what: &str) -> bool {
        let Some(since) = self.since.take() else {
            return false;
        };
        if std::mem::take(&mut self.is_told) {
            tracing::info!(target: TARGET, outage = ?since.elapsed(), "{what}");
        }
        true
    }
}

/// Tells what failed. What does not pass by itself is told as an error.
pub fn tell(error: &StoreError, what: &str) {
    match error.needs_mending() {
        true => {
            tracing::error!(target: TARGET, %error, "{what}; it goes on once this is mended");
        }
        false => tracing::warn!(target: TARGET, %error, "{what}"),
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
    use crate::error::StoreErrorKind;

    #[test]
    fn trouble_is_told_once_and_then_its_end() {
        let mut trouble = Trouble::default();
        assert!(!trouble.end("it never began"));
        assert!(trouble.is_worth_telling() && trouble.is_told);
        assert!(!trouble.is_worth_telling() && trouble.is_told);
        assert!(trouble.end("it is over"));
        assert!(!trouble.end("it is over") && !trouble.is_told);
    }

    #[test]
    fn trouble_that_comes_and_goes_is_told_now_and_then() {
        let mut trouble = Trouble::default();
        let told = (0..100).filter(|_| {
            let is_told = trouble.is_worth_telling();
            assert_eq!(
                trouble.is_told, is_told,
                "its end is told like its beginning"
            );
            trouble.end("it is over");
            is_told
        });
        assert_eq!(told.count(), 1);
        // One that lasts is told, however soon after another it came.
        trouble.told = Instant::now().checked_sub(TELL_AGAIN);
        assert!(trouble.is_worth_telling() && trouble.is_told);
    }

    #[test]
    fn what_passes_within_a_moment_is_told_only_if_it_lasts() {
        let error = StoreError::new("apply", StoreErrorKind::Transient, "locked");
        let mut trouble = Trouble::default();
        trouble.tell_if_it_lasts(&error, "a commit failed");
        assert!(!trouble.is_told && trouble.end("it is over"));
        trouble.since = Instant::now().checked_sub(LASTS);
        trouble.tell_if_it_lasts(&error, "a commit failed");
        assert!(trouble.is_told);
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
        assert!(trouble.end("it is over"));
        assert!(!trouble.is_worth_mending(), "told a moment ago");
    }
}
