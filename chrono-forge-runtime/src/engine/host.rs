//! What every part of one process's engine shares.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};

use super::alarm::Alarm;
use super::calls::Calls;
use super::config::Config;
use super::end::{End, Leave};
use super::holdings::Holdings;
use super::hub::Hub;
use super::parts;
use super::registry::{Registry, States};
use super::slots::{Reservation, Slots};
use crate::clock::database::DatabaseClock;
use crate::clock::{Clock, Moment};
use crate::commit::{CommitObserver, Committer};
use crate::error::Error;
use crate::failpoint::Failpoints;
use crate::record::{ClaimedRun, Plan, RunId, WorkerId};
use crate::store::{Applied, Store, StoreError, StoreErrorKind, StoreResult};
use crate::telemetry::{TARGET, Trouble};

/// The engine of one process.
pub struct Host {
    /// The time of workflows.
    pub clock: Arc<dyn Clock>,
    /// The clock that hosts share, where the database has one.
    pub database_clock: Option<Arc<DatabaseClock>>,
    pub store: Arc<dyn Store>,
    pub config: Config,
    pub registry: Registry,
    pub states: States,
    pub failpoints: Arc<Failpoints>,
    pub hub: Hub,
    pub slots: Slots,
    pub holdings: Holdings,
    pub calls: Calls,
    /// Wakes the scheduler.
    pub work: Notify,
    pub alarm: Alarm,
    /// Nothing new begins.
    pub closing: AtomicBool,
    /// The worker has left, or is about to: no lease is renewed any more.
    pub over: AtomicBool,
    pub end: End,
    /// Starts that are on their way with a claim. None sets out once the host is closing, and the worker leaves
    /// after the last one has arrived: so none is claimed for a worker that is gone.
    pub claiming: AtomicUsize,
    committer: OnceLock<Committer>,
    runtime: tokio::runtime::Handle,
    /// A place for each connection that reads.
    reads: Semaphore,
    /// Reads that fail, told together.
    reading: Mutex<Trouble>,
    /// The newest row of this process among the workers, known on the thread that wrote it.
    registered: Mutex<Option<WorkerId>>,
    /// When the renewal of the lease was asked for that succeeded last; `None` without a lease.
    renewed: Mutex<Option<Moment>>,
    /// Held while the worker lives; free means dead.
    lock: Mutex<Option<Box<dyn Send + Sync>>>,
}

/// The parts of a [`Host`] that its builder decides.
pub struct HostParts {
    pub clock: Arc<dyn Clock>,
    pub database_clock: Option<Arc<DatabaseClock>>,
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
            database_clock: parts.database_clock,
            calls: Calls::new(parts.store.capabilities().notifies),
            store: parts.store,
            slots: Slots::new(&queues),
            config: parts.config,
            registry: parts.registry,
            states: parts.states,
            failpoints: parts.failpoints,
            hub: Hub::default(),
            holdings: Holdings::default(),
            work: Notify::new(),
            alarm: Alarm::default(),
            closing: AtomicBool::new(false),
            over: AtomicBool::new(false),
            end: End::default(),
            claiming: AtomicUsize::new(0),
            committer: OnceLock::new(),
            runtime: parts.runtime,
            reads: Semaphore::new(parts.readers.max(1) as usize),
            reading: Mutex::default(),
            registered: Mutex::new(None),
            renewed: Mutex::new(None),
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

    /// This worker's row; record 0, which no row has, before it is registered.
    pub fn worker(&self) -> WorkerId {
        self.holdings.worker().unwrap_or(WorkerId(0))
    }

    /// Registered, at first or anew, by a call that was asked at this moment.
    pub fn enter(&self, worker: WorkerId, asked: Moment) {
        self.holdings.enter(worker);
        self.renewed(asked);
    }

    /// A row was written for this worker, which may not have entered yet. On the thread that wrote it, so that the end,
    /// which asks there, misses none.
    pub fn note_registered(&self, worker: WorkerId) {
        *self
            .registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(worker);
    }

    /// The newest row of this process among the workers.
    pub fn registered(&self) -> Option<WorkerId> {
        *self
            .registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Declared dead by somebody: nothing is held, and nothing begins before it is registered anew.
    pub fn leave(&self) {
        *self.renewal() = None;
        self.holdings.leave();
        self.slots.drain_buffers();
    }

    /// The lease was renewed by a call that was asked at this moment: the database may have counted from
    /// then on, however late its answer came.
    pub fn renewed(&self, asked: Moment) {
        *self.renewal() = Some(asked);
    }

    /// Time since the lease was renewed.
    pub fn since_renewal(&self) -> Duration {
        let renewed = *self.renewal();
        renewed.map_or(Duration::MAX, |moment| moment.elapsed())
    }

    /// Whether the worker may still start effects: past two thirds of its lease it may not, since
    /// somebody else may soon declare it dead.
    pub fn is_trusted(&self) -> bool {
        !self.config.worker || self.since_renewal() < self.config.lease * 2 / 3
    }

    fn renewal(&self) -> MutexGuard<'_, Option<Moment>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Real time, as all hosts agree on it: never that of a clock which a test moves.
    pub fn real_now(&self) -> Timestamp {
        match &self.database_clock {
            Some(clock) => clock.now(),
            None => Timestamp::now(),
        }
    }

    /// Something is due: here and elsewhere a scheduler may look.
    pub fn announce_due(&self) {
        self.work.notify_one();
        let backlog = self.committer().backlog();
        self.calls.due(backlog.urgent + backlog.others == 0);
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

    /// Gives held runs to their queues' slots.
    pub fn offer(self: &Arc<Self>, runs: Vec<ClaimedRun>) {
        for run in runs {
            let queue = run.queue.clone();
            if self.slots.offer(run) {
                let slot = super::executor::work_slot(Arc::clone(self), queue);
                self.spawn("a slot", slot);
            }
        }
    }

    /// A pass is over and its run no longer held. What it decided counts if its end is `durable`.
    pub fn pass_ended(&self, run: &ClaimedRun, durable: bool) {
        let Some(settled) = self.holdings.ended(run) else {
            return;
        };
        if run.crashes >= self.config.crashes.quarantine_from {
            // The next suspect waits for this one's place.
            self.work.notify_one();
        }
        let Some(settled) = settled.filter(|_| durable) else {
            return;
        };
        let is_awaited_here = self.hub.settle(run.id, &settled);
        if run.parent.is_none() {
            self.calls.settled(run.id, !is_awaited_here);
        }
    }

    /// Keeps this worker's lock for as long as the host lives or until it crashes.
    pub fn keep_lock(&self, lock: Option<Box<dyn Send + Sync>>) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock;
    }

    /// Whether a run that kills its workers is executing here; one at a time.
    pub fn in_quarantine(&self) -> bool {
        let from = self.config.crashes.quarantine_from;
        self.holdings.has_crashed(from)
    }

    /// Drops every pass and everything that was claimed ahead.
    pub fn lose_all(&self) {
        self.holdings.forget();
        self.slots.drain_buffers();
    }

    /// Starts a task of the engine's own: if it panics, or goes with its runtime, the engine stops.
    pub fn spawn(
        self: &Arc<Self>,
        part: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.runtime
            .spawn(parts::task(Arc::clone(self), part, task))
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
        joined.unwrap_or_else(|error| {
            let kind = match error.is_panic() {
                true => StoreErrorKind::Corrupt,
                // Its runtime is gone.
                false => StoreErrorKind::Closed,
            };
            Err(StoreError::new("read", kind, error))
        })
    }

    /// The runtime that the engine was opened on. Its callers may live on another one.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// Sleeps by the engine's own timers: the caller may live on an executor that has none.
    pub fn sleep(&self, span: Duration) -> tokio::time::Sleep {
        let _entered = self.runtime.enter();
        tokio::time::sleep(span)
    }

    /// Tells of a read that failed, now and then: while a database is away, every pass fails to read.
    pub fn tell_read(&self, error: &StoreError, run: RunId) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.tell(error, &format!("a read for run {run} failed"));
    }

    /// Why this process writes nothing more of a run until somebody has mended it: of one that it executes,
    /// what holds up its plans; of others, which may wait for its children, what holds up any.
    pub fn obstacle(&self, run: RunId) -> Option<StoreError> {
        let is_held = !self.holdings.passes(&[run]).is_empty();
        self.committer().obstacle(is_held.then_some(run))
    }

    /// Behaves as a killed process would: nothing more is written or acknowledged.
    pub fn crash(&self) {
        self.stop();
        self.keep_lock(None);
    }

    fn stop(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.over.store(true, Ordering::Release);
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

impl CommitObserver for Host {
    fn died(&self, panic: Box<dyn Any + Send>) {
        self.part_died("a commit thread", &parts::message(panic));
    }

    fn committed(&self, plans: &[Plan], applied: &Applied) {
        for (plan, outcome) in plans.iter().zip(&applied.outcomes) {
            if !outcome.claimed.is_empty() {
                self.holdings.hold(plan.fence.worker, &outcome.claimed);
            }
        }
        for pass in self.holdings.passes(&applied.parents_woken) {
            pass.wake();
        }
        if applied.due || !applied.parents_woken.is_empty() {
            self.announce_due();
        }
    }
}
