//! The next instant at which a run that this process parked becomes due.
//!
//! The scheduler reads the database before it rests; a park that commits after that read would be
//! noticed only at the next poll.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

/// See the module.
#[derive(Debug, Default)]
pub struct Alarm {
    next: Mutex<Option<Timestamp>>,
    moved: Notify,
}

impl Alarm {
    /// Forgets what was set; whoever asks next reads the database after this.
    pub fn reset(&self) {
        *self.lock() = None;
    }

    /// A run was parked until this instant.
    pub fn bring_forward(&self, at: Timestamp) {
        let mut next = self.lock();
        if next.is_none_or(|earlier| at < earlier) {
            *next = Some(at);
            drop(next);
            self.moved.notify_one();
        }
    }

    /// The earliest instant since the reset.
    pub fn next(&self) -> Option<Timestamp> {
        *self.lock()
    }

    /// Waits until [`Alarm::next`] has moved; one that came before is not lost.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
