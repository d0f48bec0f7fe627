//! The names of spans and events, so that a filter written once keeps working; and how often trouble that
//! lasts is told.

use std::time::{Duration, Instant};

/// Target of every event of the engine.
pub const TARGET: &str = "chrono_forge";

/// While something keeps failing it is told again this often, however often it is tried.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// Something that fails, perhaps a thousand times a second until a database is back: told when it begins,
/// now and then while it lasts, and once it is over.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Since when it fails, and when that was told last.
    since: Option<(Instant, Instant)>,
}

impl Trouble {
    /// It failed; whether to tell.
    pub fn is_worth_telling(&mut self) -> bool {
        let now = Instant::now();
        match &mut self.since {
            None => self.since = Some((now, now)),
            Some((_, told)) if told.elapsed() >= TELL_AGAIN => *told = now,
            Some(_) => return false,
        }
        true
    }

    /// It succeeded; for how long it had failed, if it had.
    pub fn over(&mut self) -> Option<Duration> {
        let (since, _) = self.since.take()?;
        Some(since.elapsed())
    }
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
}
