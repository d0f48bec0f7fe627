//! Who waits in this process for a run to settle.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::future::Future;
use std::hash::{Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{Notify, oneshot};

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

/// Waiters by run. An entry lives as long as somebody waits or until the run settles: whoever goes away takes
/// their entry with them, so that a process which only starts runs keeps nothing of them.
#[derive(Debug, Default)]
pub struct Hub {
    waiters: Arc<Mutex<Waiters>>,
    /// Somebody waits, and nobody did.
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiters {
    by_run: HashMap<RunId, Vec<Waiter>>,
    /// The engine is over: nobody hears of a settled run any more.
    closed: bool,
}

/// One waiter; ends without an answer when the run may have settled elsewhere, or the engine is over.
#[derive(Debug)]
pub struct Watch {
    run: RunId,
    receiver: oneshot::Receiver<Settled>,
    waiters: Arc<Mutex<Waiters>>,
    /// Its entry is gone.
    answered: bool,
}

impl Hub {
    /// Waits for a run to settle in this process. Subscribe before the run can settle, or read its
    /// row after subscribing.
    pub fn subscribe(&self, run: RunId, name: Name) -> Watch {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = lock(&self.waiters);
        let is_first = waiters.by_run.is_empty();
        if !waiters.closed {
            waiters.by_run.entry(run).or_default().push((name, sender));
        }
        drop(waiters);
        if is_first {
            self.came.notify_one();
        }
        Watch {
            run,
            receiver,
            waiters: Arc::clone(&self.waiters),
            answered: false,
        }
    }

    /// Tells everyone who waits for this run; whether anybody did. Who waits for another run that had its id looks
    /// at the row.
    pub fn settle(&self, run: &ClaimedRun, settled: &Settled) -> bool {
        self.settle_named(run.id, || Name::of(&run.workflow, &run.key), settled)
    }

    fn settle_named(&self, run: RunId, name: impl FnOnce() -> Name, settled: &Settled) -> bool {
        // Mostly children, for whom nobody here waits.
        let Some(waiting) = lock(&self.waiters).by_run.remove(&run) else {
            return false;
        };
        let name = name();
        let mut is_awaited = false;
        for (_, waiter) in waiting.into_iter().filter(|(of, _)| *of == name) {
            // A waiter that went away wants to know nothing.
            is_awaited |= waiter.send(settled.clone()).is_ok();
        }
        is_awaited
    }

    /// This run has settled elsewhere, or may have: who waits for it looks at its row.
    pub fn look(&self, run: RunId) {
        let waiting = lock(&self.waiters).by_run.remove(&run);
        drop(waiting);
    }

    /// Runs that somebody waits for, or might.
    pub fn awaited(&self) -> Vec<RunId> {
        lock(&self.waiters).by_run.keys().copied().collect()
    }

    /// Waits until somebody waits.
    pub async fn until_awaited(&self) {
        while lock(&self.waiters).by_run.is_empty() {
            self.came.notified().await;
        }
    }

    /// The engine is over: nobody hears of a settled run any more.
    pub fn close(&self) {
        let mut waiters = lock(&self.waiters);
        waiters.closed = true;
        let waiting = std::mem::take(&mut waiters.by_run);
        drop(waiters);
        // Wakes whoever waits, who may come back for the lock.
        drop(waiting);
    }
}

impl Future for Watch {
    type Output = Option<Settled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Settled>> {
        let polled = Pin::new(&mut self.receiver).poll(cx);
        // Whoever answers, or goes without an answer, has taken the entry out.
        self.answered |= polled.is_ready();
        polled.map(Result::ok)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.receiver.close();
        let mut waiters = lock(&self.waiters);
        if let Some(waiting) = waiters.by_run.get_mut(&self.run) {
            waiting.retain(|(_, waiter)| !waiter.is_closed());
            if waiting.is_empty() {
                waiters.by_run.remove(&self.run);
            }
        }
    }
}

fn lock(waiters: &Mutex<Waiters>) -> MutexGuard<'_, Waiters> {
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Name = Name(7);

    fn entries(hub: &Hub) -> usize {
        lock(&hub.waiters).by_run.len()
    }

    #[test]
    fn whoever_goes_away_takes_their_entry_with_them() {
        let hub = Hub::default();
        let (one, two) = (hub.subscribe(RunId(1), NAME), hub.subscribe(RunId(1), NAME));
        let other = hub.subscribe(RunId(2), NAME);
        assert_eq!(entries(&hub), 2);
        drop(one);
        assert_eq!(entries(&hub), 2);
        drop(two);
        assert_eq!(entries(&hub), 1);
        drop(other);
        assert_eq!(entries(&hub), 0);
    }

    #[tokio::test]
    async fn a_settled_run_is_told_to_all_and_has_no_entry_any_more() {
        let hub = Hub::default();
        let (one, two) = (hub.subscribe(RunId(1), NAME), hub.subscribe(RunId(1), NAME));
        let settled = Settled {
            state: RunState::Completed,
            output: None,
        };
        assert!(hub.settle_named(RunId(1), || NAME, &settled) && entries(&hub) == 0);
        assert!(!hub.settle_named(RunId(1), || NAME, &settled));
        for watch in [one, two] {
            assert_eq!(watch.await.unwrap().state, RunState::Completed);
        }
        let watch = hub.subscribe(RunId(1), NAME);
        hub.look(RunId(1));
        assert!(watch.await.is_none());
    }

    #[tokio::test]
    async fn who_comes_after_the_end_is_answered_at_once() {
        let hub = Hub::default();
        let before = hub.subscribe(RunId(1), NAME);
        hub.close();
        assert!(before.await.is_none());
        assert!(hub.subscribe(RunId(1), NAME).await.is_none() && entries(&hub) == 0);
    }
}
