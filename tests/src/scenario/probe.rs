//! What bodies and steps did, and what they are told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A recorder that the test and the workflows share.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    log: Mutex<Vec<String>>,
    flags: Mutex<HashMap<String, i64>>,
    changed: Notify,
}

impl Probe {
    /// Notes that something happened.
    pub fn note(&self, what: impl Into<String>) {
        lock(&self.0.log).push(what.into());
    }

    /// Notes, and answers how often this was noted, this time included.
    pub fn nth(&self, what: &str) -> usize {
        self.note(what);
        self.count(what)
    }

    /// How often something was noted.
    #[must_use]
    pub fn count(&self, what: &str) -> usize {
        lock(&self.0.log).iter().filter(|it| *it == what).count()
    }

    /// Everything that was noted.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        lock(&self.0.log).clone()
    }

    /// Sets a flag that workflows look at.
    pub fn set(&self, flag: &str, value: i64) {
        lock(&self.0.flags).insert(flag.to_owned(), value);
        self.0.changed.notify_waiters();
    }

    /// A flag; 0 until it is set.
    #[must_use]
    pub fn get(&self, flag: &str) -> i64 {
        lock(&self.0.flags).get(flag).copied().unwrap_or(0)
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn is(&self, flag: &str) -> bool {
        self.get(flag) != 0
    }

    /// Waits until a flag is set.
    pub async fn raised(&self, flag: &str) {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if self.is(flag) {
                return;
            }
            changed.await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
