//! Taking turns with other processes on one file.
//!
//! SQLite's lock is not fair: a process that begins its next transaction right after its last one
//! keeps another that looks every millisecond out for seconds. So, while another live worker shares
//! the file, a writer leaves a gap that one look falls into.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::connection::BUSY_POLL;

/// Whether other workers live on this file. Told by whoever reads the list of workers: the writer at
/// each heartbeat, and the watch over other workers several times a second, so that a newcomer does
/// not wait for a heartbeat.
#[derive(Clone, Debug, Default)]
pub(super) struct Company(Arc<AtomicBool>);

impl Company {
    pub(super) fn note(&self, others: bool) {
        self.0.store(others, Ordering::Relaxed);
    }
}

/// When this process wrote last, and whether it has to leave gaps.
#[derive(Debug)]
pub(super) struct Turns {
    company: Company,
    last_commit: Option<Instant>,
}

impl Turns {
    pub(super) fn new(company: Company) -> Self {
        Self {
            company,
            last_commit: None,
        }
    }

    /// Notes whether other workers live on this file.
    pub(super) fn share(&self, others: bool) {
        self.company.note(others);
    }

    pub(super) fn note_commit(&mut self) {
        self.last_commit = Some(Instant::now());
    }

    /// Waits until others have had their chance.
    pub(super) fn await_turn(&self) {
        let Some(last) = self
            .last_commit
            .filter(|_| self.company.0.load(Ordering::Relaxed))
        else {
            return;
        };
        let rest = BUSY_POLL.saturating_sub(last.elapsed());
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
    }
}
