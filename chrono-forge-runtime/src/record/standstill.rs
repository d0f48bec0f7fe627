//! What a run stands still at: nothing that is under way, and no time that passes, moves it on.

use super::{BlockedChild, RunId};

/// Why a run that waits for its children waits in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standstill {
    /// Runs below it have failed, stalled or were canceled.
    Blocked {
        /// How many of them were found.
        runs: usize,
        /// The one that was created first.
        first: Box<BlockedChild>,
    },
    /// This run below it is due, and no live worker would take it.
    Unserved(RunId),
}
