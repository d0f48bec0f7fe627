//! Room on the server: its connections are few, and a suite has many threads.

use std::sync::{Condvar, Mutex, PoisonError};

/// Engines that are open at once. One has up to nine connections, and a server takes a hundred as it is
/// installed.
const ENGINES_MAX: usize = 8;

static TAKEN: Mutex<usize> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

/// Room for so many engines.
pub(super) struct Room(usize);

impl Room {
    /// Waits for it.
    pub(super) fn take(engines: usize) -> Self {
        let engines = engines.min(ENGINES_MAX);
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken + engines > ENGINES_MAX {
            taken = GIVEN_BACK
                .wait(taken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *taken += engines;
        Self(engines)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        GIVEN_BACK.notify_all();
    }
}
