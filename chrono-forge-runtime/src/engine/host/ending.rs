//! How a host stops: crashed, or halted for a reason that callers are told.

use std::sync::atomic::Ordering;

use super::Host;
use crate::engine::end::Leave;
use crate::error::Error;
use crate::store::{StoreError, StoreErrorKind};
use crate::telemetry::TARGET;

impl Host {
    /// The thread that calls this renews the lease from now on; it is unparked at the end.
    pub fn beats_here(&self) {
        // A second one would be a bug of `open`; the first stays.
        let _ = self.pulse.set(std::thread::current());
    }

    /// No lease is renewed any more.
    pub fn be_over(&self) {
        self.over.store(true, Ordering::Release);
        if let Some(pulse) = self.pulse.get() {
            pulse.unpark();
        }
        self.store.end_listening();
    }

    /// Behaves as a killed process would: nothing more is written or acknowledged.
    pub fn crash(&self) {
        self.stop();
        self.keep_lock(None);
    }

    fn stop(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.be_over();
        if let Some(committer) = self.committer.get() {
            committer.halt();
        }
        self.lose_all();
    }

    /// Whether the worker has left, or is about to.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Stops the engine for a reason that is not its user's: nothing more begins or is written, every call that
    /// waits is answered with the reason, and so is every later one. Only the first reason counts, and none
    /// once the engine is over. May be called from any thread, and from a destructor.
    pub fn halt(&self, reason: Error, leave: Leave) {
        if self.is_over() || !self.end.halt(reason.clone(), leave) {
            // Another thread may be at it and no further than this. If it is the runtime that ends, its timers go
            // next, and they panic under whoever sleeps by them and has not heard of the end.
            self.end.be_over();
            self.hub.close();
            return;
        }
        match reason {
            // As a rule the process is about to end.
            Error::RuntimeGone => {
                tracing::warn!(target: TARGET, worker = %self.worker(), "{reason}")
            }
            _ => tracing::error!(target: TARGET, worker = %self.worker(), "{reason}"),
        }
        self.stop();
        if leave == Leave::Silently {
            self.keep_lock(None);
        }
        self.hub.close();
        self.end.finish();
    }

    /// A task or a thread of the engine died, without which the rest would only look alive.
    pub fn part_died(&self, part: &'static str, problem: &str) {
        let problem = problem.to_owned();
        self.halt(Error::Stopped { part, problem }, Leave::HandBack);
    }

    /// Why calls on an engine that is over fail.
    pub fn why_over(&self) -> Error {
        self.end.reason().unwrap_or(Error::Closed)
    }

    /// A store that was closed under a call means that the engine was.
    pub fn explain(&self, error: StoreError) -> Error {
        match error.kind {
            StoreErrorKind::Closed => self.why_over(),
            _ => Error::Store(error),
        }
    }
}
