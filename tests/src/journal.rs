//! What the passes of one run saw, one after the other.

use std::sync::{Arc, Mutex, MutexGuard};

/// Shared by the bodies of all passes; each writes on a page of its own.
#[derive(Clone, Default)]
pub struct Journal {
    pages: Arc<Mutex<Pages>>,
    page: usize,
}

/// Everything that was noted.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// The outcomes that each pass received, in its order.
    pub passes: Vec<Vec<String>>,
    /// The races that the newest pass decided.
    pub races: Vec<Race>,
    /// Bodies that began, with the number of outcomes that their pass had received by then.
    pub begun: Vec<(u32, i64)>,
}

/// A race that was decided.
#[derive(Clone, Debug)]
pub struct Race {
    /// The operations of the arms that lost.
    pub lost: Vec<u32>,
    /// The place of the outcome that decided it.
    pub seq: i64,
}

impl Journal {
    /// The journal as a body that begins anew writes it.
    #[must_use]
    pub fn turn_page(&self) -> Self {
        let mut pages = self.pages();
        pages.passes.push(Vec::new());
        pages.races.clear();
        Self {
            pages: Arc::clone(&self.pages),
            page: pages.passes.len() - 1,
        }
    }

    /// The body received an outcome.
    pub fn received(&self, outcome: String) {
        self.pages().passes[self.page].push(outcome);
    }

    /// A race was decided by the newest outcome; these operations are abandoned.
    pub fn decided(&self, lost: Vec<u32>) {
        let mut pages = self.pages();
        let seq = received(&pages.passes[self.page]);
        pages.races.push(Race { lost, seq });
    }

    /// A step's body begins.
    pub fn began(&self, step: u32) {
        let mut pages = self.pages();
        let received = received(&pages.passes[self.page]);
        pages.begun.push((step, received));
    }

    /// The outcomes of this pass, as its output.
    #[must_use]
    pub fn path(&self) -> Vec<String> {
        self.pages().passes[self.page].clone()
    }

    /// What was noted.
    ///
    /// # Panics
    /// When a body panicked while it wrote.
    pub fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("unpoisoned")
    }
}

/// How many outcomes a pass has received, but for those within a block: once it is sealed, no pass receives them.
fn received(page: &[String]) -> i64 {
    let outside = page
        .iter()
        .filter(|outcome| !outcome.starts_with("step$in"));
    outside.count() as i64
}
