//! Where no kernel tells of writes to the log, they may happen at any time.

use std::path::Path;
use std::time::Duration;

use super::LOOK_EVERY;

/// Every wait is over soon.
pub(in crate::store::sqlite) struct End;

pub(super) struct Writes;

impl Writes {
    pub(super) fn to(_log: &Path) -> std::io::Result<(Self, End)> {
        Ok((Self, End))
    }

    pub(super) fn are_told(&self) -> bool {
        false
    }

    pub(super) fn sleep_until_next(&self, at_most: Duration) -> bool {
        self.sleep(at_most.min(LOOK_EVERY))
    }

    /// Never the end, of which nobody tells here.
    pub(super) fn sleep(&self, span: Duration) -> bool {
        std::thread::sleep(span);
        false
    }

    pub(super) fn were_any(&mut self) -> bool {
        true
    }
}
