//! Who waits in this process for a run to settle.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::record::{Json, RunId, RunState};

/// How a run ended, as its pass knew it, so that the waiter need not read the row.
#[derive(Clone, Debug)]
pub struct Settled {
    pub state: RunState,
    pub output: Option<Json>,
}

/// Waiters by run. An entry lives as long as somebody waits or until the run settles.
#[derive(Debug, Default)]
pub struct Hub {
    waiters: Mutex<HashMap<RunId, Vec<oneshot::Sender<Settled>>>>,
}

impl Hub {
    /// Waits for a run to settle in this process. Subscribe before the run can settle, or read its
    /// row after subscribing.
    pub fn subscribe(&self, run: RunId) -> oneshot::Receiver<Settled> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.lock();
        let waiting = waiters.entry(run).or_default();
        waiting.retain(|waiter| !waiter.is_closed());
        waiting.push(sender);
        receiver
    }

    /// Tells everyone who waits for this run; whether anybody did.
    pub fn settle(&self, run: RunId, settled: &Settled) -> bool {
        let waiting = self.lock().remove(&run).unwrap_or_default();
        let mut is_awaited = false;
        for waiter in waiting {
            // A waiter that went away wants to know nothing.
            is_awaited |= waiter.send(settled.clone()).is_ok();
        }
        is_awaited
    }

    /// This run has settled elsewhere, or may have: who waits for it looks at its row.
    pub fn look(&self, run: RunId) {
        self.lock().remove(&run);
    }

    /// The engine is shut down: nobody hears of a settled run any more.
    pub fn close(&self) {
        self.lock().clear();
    }

    /// Runs that somebody waits for, or might.
    #[cfg(feature = "testing")]
    pub fn awaited(&self) -> usize {
        self.lock().len()
    }

    /// Drops entries that nobody waits for any more.
    pub fn sweep(&self) {
        self.lock()
            .retain(|_, waiting| waiting.iter().any(|waiter| !waiter.is_closed()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Vec<oneshot::Sender<Settled>>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
