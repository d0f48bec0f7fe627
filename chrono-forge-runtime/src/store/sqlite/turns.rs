//! Taking turns with other processes on one file.
//!
//! SQLite's lock is not fair: a process that begins its next transaction right after its last one
//! keeps another that looks every millisecond out for seconds. So, while another live worker shares
//! the file, a writer leaves a gap that one look falls into.

use std::time::Instant;

use super::connection::BUSY_POLL;

/// When this process wrote last, and whether it has to leave gaps.
#[derive(Debug, Default)]
pub(super) struct Turns {
    shared: bool,
    last_commit: Option<Instant>,
}

impl Turns {
    /// Notes whether other workers live on this file; told at each heartbeat.
    pub(super) fn share(&mut self, others: bool) {
        self.shared = others;
    }

    pub(super) fn note_commit(&mut self) {
        self.last_commit = Some(Instant::now());
    }

    /// Waits until others have had their chance.
    pub(super) fn await_turn(&self) {
        let Some(last) = self.last_commit.filter(|_| self.shared) else {
            return;
        };
        let rest = BUSY_POLL.saturating_sub(last.elapsed());
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
    }
}
