//! What the passes of one run saw, one after the other.

use std::sync::{Arc, Mutex, MutexGuard};

/// Shared by the bodies of all passes.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Pages>>);

/// Everything that was noted.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// The outcomes that each pass received, in its order.
    pub passes: Vec<Vec<String>>,
    /// The races that the newest pass decided.
    pub races: Vec<Race>,
    /// Bodies that began, with the newest place in the recorded order at that time.
    pub begun: Vec<(u32, i64)>,
}

/// A race that was decided.
#[derive(Clone, Debug)]
pub struct Race {
    /// The steps of the arms that lost.
    pub lost: Vec<u32>,
    /// The place of the outcome that decided it.
    pub seq: i64,
}

impl Journal {
    /// A body begins anew.
    pub fn turn_page(&self) {
        let mut pages = self.pages();
        pages.passes.push(Vec::new());
        pages.races.clear();
    }

    /// The body received an outcome.
    pub fn received(&self, outcome: String) {
        if let Some(page) = self.pages().passes.last_mut() {
            page.push(outcome);
        }
    }

    /// A race was decided by the newest outcome; these steps are abandoned.
    pub fn decided(&self, lost: Vec<u32>) {
        let mut pages = self.pages();
        let seq = pages.passes.last().map_or(0, Vec::len) as i64;
        pages.races.push(Race { lost, seq });
    }

    /// A step's body begins.
    pub fn began(&self, step: u32, seq: i64) {
        self.pages().begun.push((step, seq));
    }

    /// The outcomes of the newest pass, as its output.
    #[must_use]
    pub fn path(&self) -> Vec<String> {
        self.pages().passes.last().cloned().unwrap_or_default()
    }

    /// What was noted.
    ///
    /// # Panics
    /// When a body panicked while it wrote.
    #[must_use]
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("unpoisoned")
    }
}
