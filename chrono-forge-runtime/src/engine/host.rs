//! What every part of one process's engine shares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, Semaphore};

use super::alarm::Alarm;
use super::config::Config;
use super::hub::{Hub, Settled};
use super::pass::Pass;
use super::registry::{Registry, States};
use super::slots::{Reservation, Slots};
use crate::clock::Clock;
use crate::commit::{CommitObserver, Committer};
use crate::failpoint::Failpoints;
use crate::record::{ClaimedRun, Epoch, RunId, WorkerId};
use crate::store::{Applied, Store, StoreError, StoreErrorKind, StoreResult};

/// A run that this worker holds.
struct Held {
    epoch: Epoch,
    crashes: u32,
    /// Set once its pass has begun.
    pass: Option<Arc<Pass>>,
    /// Set once its pass has decided how the run settles.
    settled: Option<Settled>,
}

/// The engine of one process.
pub struct Host {
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    pub config: Config,
    pub registry: Registry,
    pub states: States,
    pub failpoints: Arc<Failpoints>,
    pub hub: Hub,
    pub slots: Slots,
    /// Wakes the scheduler.
    pub work: Notify,
    pub alarm: Alarm,
    pub closing: AtomicBool,
    committer: OnceLock<Committer>,
    runtime: tokio::runtime::Handle,
    /// A place for each connection that reads.
    reads: Semaphore,
    worker: AtomicI64,
    held: Mutex<HashMap<RunId, Held>>,
    renewed: Mutex<(Instant, SystemTime)>,
    /// Held while the worker lives; free means dead.
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

/// The parts of a [`Host`] that its builder decides.
pub struct HostParts {
    pub clock: Arc<dyn Clock>,
    pub store: Arc<dyn Store>,
    pub config: Config,
    pub registry: Registry,
    pub states: States,
    pub failpoints: Arc<Failpoints>,
    pub readers: u32,
    pub runtime: tokio::runtime::Handle,
}

impl Host {
    /// A host without a commit pipeline yet.
    #[must_use]
    pub fn new(parts: HostParts) -> Arc<Self> {
        let queues = if parts.config.worker {
            parts.config.queues.clone()
        } else {
            Vec::new()
        };
        Arc::new(Self {
            clock: parts.clock,
            store: parts.store,
            slots: Slots::new(&queues),
            config: parts.config,
            registry: parts.registry,
            states: parts.states,
            failpoints: parts.failpoints,
            hub: Hub::default(),
            work: Notify::new(),
            alarm: Alarm::default(),
            closing: AtomicBool::new(false),
            committer: OnceLock::new(),
            runtime: parts.runtime,
            reads: Semaphore::new(parts.readers.max(1) as usize),
            worker: AtomicI64::new(0),
            held: Mutex::default(),
            renewed: Mutex::new((Instant::now(), SystemTime::now())),
            lock: Mutex::new(None),
        })
    }

    /// Connects the pipeline; once.
    pub fn connect(&self, committer: Committer) {
        // A second call would be a bug of `open`; the first pipeline stays.
        let _ = self.committer.set(committer);
    }

    /// The commit pipeline.
    pub fn committer(&self) -> &Committer {
        #[allow(
            clippy::expect_used,
            reason = "`open` connects it before anything else runs"
        )]
        self.committer
            .get()
            .expect("the pipeline is connected in open")
    }

    /// This worker's row.
    pub fn worker(&self) -> WorkerId {
        WorkerId(self.worker.load(Ordering::Acquire))
    }

    /// Registered, at first or anew.
    pub fn set_worker(&self, worker: WorkerId) {
        self.worker.store(worker.0, Ordering::Release);
        self.renewed();
    }

    /// The lease was renewed now.
    pub fn renewed(&self) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) =
            (Instant::now(), SystemTime::now());
    }

    /// Time since the lease was renewed. The longer of two clocks: the monotonic one stops while
    /// the machine is suspended, the wall clock may be set back.
    pub fn since_renewal(&self) -> Duration {
        let (instant, wall) = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        instant.elapsed().max(wall.elapsed().unwrap_or_default())
    }

    /// Whether the worker may still start effects: past two thirds of its lease it may not, since
    /// somebody else may soon declare it dead.
    pub fn is_trusted(&self) -> bool {
        !self.config.worker || self.since_renewal() < self.config.lease * 2 / 3
    }

    /// Whether this worker executes that workflow.
    pub fn serves(&self, workflow: &str) -> bool {
        self.config.worker && self.registry.get(workflow).is_some()
    }

    /// Room for children that will be inserted already claimed, the `urgent` ones among them first.
    pub fn reserve(&self, queue: &str, wanted: usize, urgent: usize) -> Reservation {
        let wanted = match self.closing.load(Ordering::Acquire) {
            true => 0,
            false => wanted,
        };
        self.slots.reserve(queue, wanted, urgent)
    }

    /// Children that were inserted already claimed, and the room that was kept for them.
    pub fn accept_children(self: &Arc<Self>, reserved: Vec<Reservation>, runs: Vec<ClaimedRun>) {
        for reservation in &reserved {
            self.slots.unreserve(reservation);
        }
        self.offer(runs);
    }

    /// Notes claimed runs as held. On the commit thread, before the next heartbeat compares.
    pub fn hold(&self, runs: &[ClaimedRun]) {
        let mut replaced = Vec::new();
        let mut held = self.held();
        for run in runs {
            let entry = Held {
                epoch: run.epoch,
                crashes: run.crashes,
                pass: None,
                settled: None,
            };
            let earlier = held.insert(run.id, entry);
            let earlier = earlier.filter(|earlier| earlier.epoch != run.epoch);
            replaced.extend(earlier.and_then(|earlier| earlier.pass));
        }
        drop(held);
        for pass in replaced {
            // The run was taken from us elsewhere and came back to us before a heartbeat could tell.
            pass.lose();
        }
    }

    /// Drops what is known of runs that this worker no longer holds. On the commit thread, so that no
    /// claim that follows is meant. A pass that has ended stays until its end is told.
    pub fn lose(&self, runs: &[RunId]) {
        let mut lost = Vec::new();
        let mut held = self.held();
        for run in runs {
            match held.get(run).map(|entry| entry.pass.clone()) {
                Some(Some(pass)) => lost.push(pass),
                Some(None) => drop(held.remove(run)),
                None => {}
            }
        }
        drop(held);
        for pass in lost {
            pass.lose();
        }
    }

    /// Gives held runs to their queues' slots.
    pub fn offer(self: &Arc<Self>, runs: Vec<ClaimedRun>) {
        for run in runs {
            let queue = run.queue.clone();
            if self.slots.offer(run) {
                self.runtime
                    .spawn(super::executor::work_slot(Arc::clone(self), queue));
            }
        }
    }

    /// A held run's pass begins; `false` when the run was lost or handed back before it could.
    #[must_use]
    pub fn attach(&self, pass: &Arc<Pass>) -> bool {
        let mut held = self.held();
        let entry = held
            .get_mut(&pass.run.id)
            .filter(|held| held.epoch == pass.run.epoch);
        match entry {
            Some(held) => {
                held.pass = Some(Arc::clone(pass));
                true
            }
            None => false,
        }
    }

    /// A pass has decided how its run settles; told to waiters once that is durable.
    pub fn will_settle(&self, run: RunId, settled: Settled) {
        if let Some(held) = self.held().get_mut(&run) {
            held.settled = Some(settled);
        }
    }

    /// A pass is over and its run no longer held. What it decided counts if its end is `durable`.
    pub fn pass_ended(&self, run: &ClaimedRun, durable: bool) {
        let mut held = self.held();
        if held
            .get(&run.id)
            .is_some_and(|entry| entry.epoch == run.epoch)
        {
            let entry = held.remove(&run.id);
            drop(held);
            if run.crashes >= self.config.crashes.quarantine_from {
                // The next suspect waits for this one's place.
                self.work.notify_one();
            }
            if let Some(settled) = entry.and_then(|entry| entry.settled).filter(|_| durable) {
                self.hub.settle(run.id, &settled);
            }
        }
    }

    /// Keeps this worker's lock for as long as the host lives or until it crashes.
    pub fn keep_lock(&self, lock: Option<Box<dyn Send + Sync>>) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock;
    }

    /// Runs that memory knows to be held.
    pub fn held_runs(&self) -> Vec<RunId> {
        self.held().keys().copied().collect()
    }

    /// The live passes of these runs.
    pub fn passes(&self, runs: &[RunId]) -> Vec<Arc<Pass>> {
        let held = self.held();
        runs.iter()
            .filter_map(|run| held.get(run)?.pass.clone())
            .collect()
    }

    /// Whether a run that kills its workers is executing here; one at a time.
    pub fn in_quarantine(&self) -> bool {
        let from = self.config.crashes.quarantine_from;
        self.held().values().any(|held| held.crashes >= from)
    }

    /// Every live pass.
    pub fn all_passes(&self) -> Vec<Arc<Pass>> {
        self.held()
            .values()
            .filter_map(|held| held.pass.clone())
            .collect()
    }

    /// Forgets everything: the worker was declared dead, its runs belong to others now.
    pub fn lose_all(&self) {
        let held = std::mem::take(&mut *self.held());
        for pass in held.into_values().filter_map(|held| held.pass) {
            pass.lose();
        }
        self.slots.drain_buffers();
    }

    /// Starts a task of the engine's own.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Reads from the store on a blocking thread. Who finds every connection lent waits as a task:
    /// waiting in a thread, a crowd of retries costs hundreds of threads and their stacks.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&dyn Store) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        // Never closed, so there is always a place in the end.
        let _place = self.reads.acquire().await;
        let store = Arc::clone(&self.store);
        let joined = self
            .runtime
            .spawn_blocking(move || read(store.as_ref()))
            .await;
        joined.unwrap_or_else(|error| Err(StoreError::new("read", StoreErrorKind::Closed, error)))
    }

    /// Behaves as a killed process would: nothing more is written or acknowledged.
    pub fn crash(&self) {
        self.closing.store(true, Ordering::Release);
        self.committer().halt();
        self.lose_all();
        self.keep_lock(None);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<RunId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommitObserver for Host {
    fn committed(&self, applied: &Applied) {
        for outcome in applied
            .outcomes
            .iter()
            .filter(|outcome| !outcome.claimed.is_empty())
        {
            self.hold(&outcome.claimed);
        }
        for pass in self.passes(&applied.parents_woken) {
            pass.wake();
        }
        if applied.due || !applied.parents_woken.is_empty() {
            self.work.notify_one();
        }
    }
}
