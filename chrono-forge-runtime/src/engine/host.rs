//! What every part of one process's engine shares.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};

use super::alarm::Alarm;
use super::calls::Calls;
use super::config::Config;
use super::holdings::Holdings;
use super::hub::Hub;
use super::liveness::runtime::Ticks;
use super::registry::{Registry, States};
use super::slots::{Reservation, Slots};
use crate::clock::database::DatabaseClock;
use crate::clock::{Clock, Moment};
use crate::commit::{CommitObserver, Committer};
use crate::failpoint::Failpoints;
use crate::record::{ClaimedRun, Plan, RunId, WorkerId};
use crate::store::{Applied, Store, StoreError, StoreErrorKind, StoreResult, Suspects};
use crate::telemetry::{TARGET, Trouble};

/// Passes that a run may lose in one process, nobody having died, before it is put into quarantine.
const LOSSES_MAX: u32 = 3;

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
    pub ticks: Ticks,
    /// Nothing new begins.
    pub closing: AtomicBool,
    /// The worker has left, or is about to: no lease is renewed any more. Set by [`Host::end`].
    pub over: AtomicBool,
    /// The thread that renews the lease.
    pulse: OnceLock<std::thread::Thread>,
    /// Somebody found the lease in doubt since it was renewed last.
    doubted: AtomicBool,
    committer: OnceLock<Committer>,
    runtime: tokio::runtime::Handle,
    /// A place for each connection that reads.
    reads: Semaphore,
    /// Reads that fail, told together.
    reading: Mutex<Trouble>,
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
            ticks: Ticks::default(),
            closing: AtomicBool::new(false),
            over: AtomicBool::new(false),
            pulse: OnceLock::new(),
            doubted: AtomicBool::new(false),
            committer: OnceLock::new(),
            runtime: parts.runtime,
            reads: Semaphore::new(parts.readers.max(1) as usize),
            reading: Mutex::default(),
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
        // What was taken from this worker's last life may be due.
        self.work.notify_one();
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
        if self.doubted.swap(false, Ordering::SeqCst) {
            // Whatever was kept from beginning looks again.
            for pass in self.holdings.all_passes() {
                pass.trusted_again();
            }
            self.work.notify_one();
        }
    }

    /// Time since the lease was renewed.
    pub fn since_renewal(&self) -> Duration {
        let renewed = *self.renewal();
        renewed.map_or(Duration::MAX, |moment| moment.elapsed())
    }

    /// Whether the worker may begin something: past two thirds of its lease it may not, since somebody else may
    /// soon declare it dead. Who is kept from beginning is told once the lease is renewed, if it holds a pass.
    pub fn is_trusted(&self) -> bool {
        let is_fresh = || self.since_renewal() < self.config.lease * 2 / 3;
        if !self.config.worker || is_fresh() {
            return true;
        }
        self.doubted.store(true, Ordering::SeqCst);
        // Renewed in between, perhaps, by somebody who did not see the doubt.
        is_fresh()
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
                self.runtime
                    .spawn(super::executor::work_slot(Arc::clone(self), queue));
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
        if durable {
            self.holdings.went_well(run.id);
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

    /// The runs that may have killed workers and are held here.
    pub fn suspects(&self) -> Suspects {
        let mut suspects = Suspects::none(self.config.crashes);
        let held = self.holdings.crashes();
        let from = self.config.crashes.quarantine_from;
        let of_suspects = held.into_iter().filter(|crashes| *crashes >= from);
        of_suspects.for_each(|crashes| suspects.enter(crashes));
        suspects
    }

    /// Notes that a run lost its pass though nobody died. One that does again and again is taken for what it is: trouble
    /// that is better kept from others.
    pub fn lost_pass(self: &Arc<Self>, run: RunId, name: &str) {
        if self.closing.load(Ordering::Acquire) {
            return;
        }
        let losses = self.holdings.lost_again(run);
        if losses < LOSSES_MAX {
            return;
        }
        tracing::warn!(target: TARGET, %run, name, losses, "a run loses its pass again and again although no worker died; it goes on in quarantine");
        let crashes = self.config.crashes.quarantine_from;
        let host = Arc::clone(self);
        self.spawn(async move {
            let quarantine =
                move |writer: &mut dyn crate::store::Writer| writer.quarantine(run, crashes);
            // The next loss tries again.
            if let Err(error) = host.committer().call("quarantine", quarantine).await {
                tracing::debug!(target: TARGET, %error, %run, "a run was not put into quarantine");
            }
        });
    }

    /// Drops every pass and everything that was claimed ahead.
    pub fn lose_all(&self) {
        self.holdings.forget();
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

    /// The thread that calls this renews the lease from now on; it is unparked at the end.
    pub fn beats_here(&self) {
        // A second one would be a bug of `open`; the first stays.
        let _ = self.pulse.set(std::thread::current());
    }

    /// No lease is renewed any more.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
        if let Some(pulse) = self.pulse.get() {
            pulse.unpark();
        }
    }

    /// Behaves as a killed process would: nothing more is written or acknowledged.
    pub fn crash(&self) {
        self.closing.store(true, Ordering::Release);
        self.end();
        self.committer().halt();
        self.lose_all();
        self.keep_lock(None);
    }
}

impl CommitObserver for Host {
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
