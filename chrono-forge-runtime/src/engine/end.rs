//! Why and how far an engine has come to its end.
//!
//! An engine ends in one of three ways: it is shut down, it crashes (the last handle is dropped), or it is
//! halted, because something without which it would only look alive has died. Whoever waits for anything of it
//! is answered with the reason.

use std::sync::OnceLock;

use tokio::sync::watch;

use crate::error::Error;

/// What a halted engine does about the runs that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Tells the database that the worker has left, so that others go on at once and no crash is counted.
    HandBack,
    /// Writes nothing more: what is there may be another database, or another worker's.
    Silently,
}

/// See the module.
#[derive(Default)]
pub struct End {
    /// Why it was halted.
    halted: OnceLock<(Error, Leave)>,
    /// Told as soon as it was halted, and before its runtime's timers are gone.
    over: watch::Sender<bool>,
    /// Told once the end is over.
    ended: watch::Sender<bool>,
    /// Brings a halted engine to its end.
    finish: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl End {
    /// What to do once the engine is halted; set by whoever keeps its threads.
    pub fn finish_with(&self, finish: impl Fn() + Send + Sync + 'static) {
        // A second call would be a bug of `open`; the first one stays.
        let _ = self.finish.set(Box::new(finish));
    }

    /// Notes why the engine was halted; `false` when it was already.
    pub fn halt(&self, reason: Error, leave: Leave) -> bool {
        let is_first = self.halted.set((reason, leave)).is_ok();
        self.be_over();
        is_first
    }

    /// Everything is told that it is over; what is left of the engine may go.
    pub fn finish(&self) {
        if let Some(finish) = self.finish.get() {
            finish();
        }
    }

    /// Why it was halted, if it was.
    pub fn reason(&self) -> Option<Error> {
        self.halted.get().map(|(reason, _)| reason.clone())
    }

    /// What a halted engine does about its runs.
    pub fn leave(&self) -> Option<Leave> {
        self.halted.get().map(|(_, leave)| *leave)
    }

    /// The end is over.
    pub fn ended(&self) {
        self.be_over();
        self.ended.send_replace(true);
    }

    /// Tells whoever sleeps that it is over.
    pub fn be_over(&self) {
        self.over.send_replace(true);
    }

    /// Waits until the engine was halted, or its end is over.
    pub async fn until_over(&self) {
        // The sender lives as long as this.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Whether the end is over.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits until the end is over.
    pub async fn until_ended(&self) {
        // The sender lives as long as this.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}
