//! Whether everything that can run has run.
//!
//! The rows know it: a run that may go on is due, and one that goes on is held by a worker until its end is
//! written. So one statement over them, of one commit, misses nothing, whatever is on its way in memory: a claim
//! whose reply has not arrived, a plan that waits for its transaction, a parent that its last child has woken.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::host::Host;
use crate::clock::{Follower, Lull, Soon};
use crate::error::Error;
use crate::record::{Due, RunId};
use crate::store::{Outlook, StoreResult};

/// The pause after the first look that finds something to do; each later one is twice as long.
const PAUSE: Duration = Duration::from_millis(1);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Waits until nothing that this engine serves is due or held, whoever holds it.
///
/// # Errors
/// [`Error::Store`] when the database cannot be read, or refuses what this process writes; why the engine is over,
/// once it is.
pub async fn settled(host: &Arc<Host>) -> Result<Lull, Error> {
    let mut pause = PAUSE;
    let mut at_once = true;
    loop {
        if host.closing.load(Ordering::Acquire) || host.end.reason().is_some() {
            return Err(host.why_over());
        }
        if let Some(obstacle) = host.committer().obstacle(None) {
            return Err(Error::Store(obstacle));
        }
        let outlook = look(host).await.map_err(|error| host.explain(error))?;
        let is_due = outlook.next.is_some_and(|due| due.is_due(host.clock.now()));
        if !outlook.runs && !is_due {
            let next = outlook.next.and_then(Due::instant);
            return Ok(Lull { next, at_once });
        }
        at_once = false;
        tokio::select! {
            // First: the timers go with their runtime, which is told before they do.
            biased;
            () = host.end.until_over() => {}
            () = host.sleep(pause) => {}
        }
        pause = (2 * pause).min(PAUSE_MAX);
    }
}

async fn look(host: &Arc<Host>) -> StoreResult<Outlook> {
    if !host.config.worker {
        return Ok(Outlook::default());
    }
    let queues = host.config.queues.iter();
    let queues: Vec<String> = queues.map(|(queue, _)| queue.clone()).collect();
    let workflows = host.registry.names();
    host.read_for_user(move |store| store.outlook(&queues, &workflows))
        .await
}

/// Runs whose results somebody awaits.
#[derive(Debug, Default)]
pub struct Awaited {
    /// How many await each.
    runs: Mutex<HashMap<RunId, usize>>,
    came: Notify,
}

/// Somebody awaits a result for as long as this lives.
#[must_use = "nobody awaits it once this is dropped"]
pub struct Awaiting<'a> {
    all: &'a Awaited,
    run: RunId,
}

impl Awaited {
    /// Somebody awaits the result of this run.
    pub fn enter(&self, run: RunId) -> Awaiting<'_> {
        *self.lock().entry(run).or_default() += 1;
        self.came.notify_one();
        Awaiting { all: self, run }
    }

    /// Waits until there are any.
    async fn until_any(&self) {
        while self.lock().is_empty() {
            self.came.notified().await;
        }
    }

    fn runs(&self) -> Vec<RunId> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, usize>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        let mut runs = self.all.lock();
        if let Some(awaiting) = runs.get_mut(&self.run) {
            *awaiting -= 1;
            if *awaiting == 0 {
                runs.remove(&self.run);
            }
        }
    }
}

/// An engine that follows a clock, for as long as it lives.
pub struct Led(Weak<Host>);

impl Led {
    /// This engine, which its clock keeps no longer than it lives.
    #[must_use]
    pub fn new(host: &Arc<Host>) -> Self {
        Self(Arc::downgrade(host))
    }

    fn host(&self) -> Option<Arc<Host>> {
        self.0.upgrade().filter(|host| !host.is_over())
    }
}

impl Follower for Led {
    fn settled(&self) -> Soon<'_, Option<Lull>> {
        Box::pin(async {
            let host = self.host()?;
            settled(&host).await.ok()
        })
    }

    fn awaited(&self) -> Soon<'_, ()> {
        Box::pin(async {
            if let Some(host) = self.host() {
                host.awaited.until_any().await;
            }
        })
    }

    fn is_kept_waiting(&self) -> Soon<'_, bool> {
        Box::pin(async {
            let Some(host) = self.host() else {
                return false;
            };
            for run in host.awaited.runs() {
                let row = host.read_for_user(move |store| store.run(run)).await;
                if matches!(row, Ok(Some(row)) if !row.state.is_settled()) {
                    return true;
                }
            }
            false
        })
    }

    fn is_gone(&self) -> bool {
        self.host().is_none()
    }
}
