//! Who waits in this process for a run to settle.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::record::{ClaimedRun, Json, RunId, RunState};

/// How a run ended, as its pass knew it, so that the waiter need not read the row.
#[derive(Clone, Debug)]
pub struct Settled {
    pub state: RunState,
    pub output: Option<Json>,
}

/// What tells a run from another that was given the same id, after the database was set back to an older copy: its
/// workflow and key, shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(u64);

impl Name {
    /// That of this run.
    pub fn of(workflow: &str, key: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (workflow, key).hash(&mut hasher);
        Self(hasher.finish())
    }
}

type Waiter = (Name, oneshot::Sender<Settled>);

/// Waiters by run. An entry lives as long as somebody waits or until the run settles.
#[derive(Debug, Default)]
pub struct Hub {
    waiters: Mutex<HashMap<RunId, Vec<Waiter>>>,
}

impl Hub {
    /// Waits for a run to settle in this process. Subscribe before the run can settle, or read its
    /// row after subscribing.
    pub fn subscribe(&self, run: RunId, name: Name) -> oneshot::Receiver<Settled> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.lock();
        let waiting = waiters.entry(run).or_default();
        waiting.retain(|(_, waiter)| !waiter.is_closed());
        waiting.push((name, sender));
        receiver
    }

    /// Tells everyone who waits for this run; whether anybody did. Who waits for another run that had its id looks
    /// at the row.
    pub fn settle(&self, run: &ClaimedRun, settled: &Settled) -> bool {
        let Some(waiting) = self.lock().remove(&run.id) else {
            return false;
        };
        let name = Name::of(&run.workflow, &run.key);
        let mut is_awaited = false;
        for (_, waiter) in waiting.into_iter().filter(|(of, _)| *of == name) {
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

    /// Drops entries that nobody waits for any more.
    pub fn sweep(&self) {
        self.lock()
            .retain(|_, waiting| waiting.iter().any(|(_, waiter)| !waiter.is_closed()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Vec<Waiter>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
