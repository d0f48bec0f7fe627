//! What every part of one process's engine shares.

mod ending;
mod lease;

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};

use super::alarm::Alarm;
use super::applications::Applications;
use super::calls::Calls;
use super::config::Config;
use super::end::{End, Leave};
use super::holdings::Holdings;
use super::hub::Hub;
use super::liveness::runtime::Ticks;
use super::lookout::Lookout;
use super::parts;
use super::registry::{Registry, States};
use super::report::Report;
use super::settling::Awaited;
use super::slots::{Reservation, Slots};
use crate::clock::database::DatabaseClock;
use crate::clock::{Clock, SharedMoment};
use crate::commit::{CommitObserver, Committer};
use crate::error::Error;
use crate::failpoint::Failpoints;
use crate::record::{ClaimedRun, Plan, RunId, RunState, WorkerId};
use crate::store::{Applied, Store, StoreError, StoreErrorKind, StoreResult, Suspects, Writer};
use crate::telemetry::{self, Seldom, TARGET, Trouble};

/// Runs that one statement hands back.
const HAND_BACK_PAGE: usize = 1_000;

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
    pub applications: Applications,
    pub failpoints: Arc<Failpoints>,
    pub hub: Hub,
    /// What was found of the runs that are waited for.
    pub lookout: Lookout,
    /// Runs whose results are awaited under a clock of tests.
    pub awaited: Awaited,
    pub slots: Slots,
    pub holdings: Holdings,
    pub calls: Calls,
    /// Wakes the scheduler.
    pub work: Notify,
    pub alarm: Alarm,
    pub ticks: Ticks,
    pub report: Report,
    /// The database, as it is told.
    pub database: String,
    /// Nothing new begins.
    pub closing: AtomicBool,
    /// The worker has left, or is about to: no lease is renewed any more. Set by [`Host::be_over`].
    pub over: AtomicBool,
    /// The thread that renews the lease.
    pulse: OnceLock<std::thread::Thread>,
    /// Somebody found the lease in doubt since it was renewed last.
    doubted: AtomicBool,
    pub end: Arc<End>,
    /// What keeps its threads, for handles that bodies ask for.
    running: OnceLock<Weak<dyn Any + Send + Sync>>,
    /// Starts that meet a run with other arguments.
    pub other_arguments: Seldom,
    /// Starts that are on their way with a claim. None sets out once the host is closing, and the worker leaves
    /// after the last one has arrived: so none is claimed for a worker that is gone.
    pub claiming: AtomicUsize,
    committer: OnceLock<Committer>,
    runtime: tokio::runtime::Handle,
    /// A place for each connection that reads.
    reads: Arc<Semaphore>,
    /// The places that reads for users may have: one fewer, so that long ones never stop the engine.
    guests: Arc<Semaphore>,
    /// Whoever looks whether a run that is waited for stands still has it: many may wait.
    pub doubts: Semaphore,
    /// The places that reads of a body may have, which take as long as there are children: fewer
    /// still, so that somebody who looks a run up need not wait for millions of results.
    bulk: Arc<Semaphore>,
    /// Reads that fail, told together.
    reading: Mutex<Trouble>,
    /// The newest row of this process among the workers, known on the thread that wrote it.
    registered: Mutex<Option<WorkerId>>,
    /// When the renewal of the lease was asked for that succeeded last; `None` without a lease.
    renewed: SharedMoment,
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
    pub applications: Applications,
    pub failpoints: Arc<Failpoints>,
    pub runtime: tokio::runtime::Handle,
    /// The database, as it is told.
    pub database: String,
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
        let readers = parts.store.capabilities().readers.max(1);
        // An engine that executes nothing reads nothing of its own.
        let guests = match parts.config.worker {
            true => readers.saturating_sub(1).max(1),
            false => readers,
        };
        let bulk = guests.saturating_sub(1).max(1);
        Arc::new(Self {
            clock: parts.clock,
            database_clock: parts.database_clock,
            calls: Calls::new(parts.store.capabilities().notifies),
            store: parts.store,
            slots: Slots::new(&queues),
            config: parts.config,
            registry: parts.registry,
            states: parts.states,
            applications: parts.applications,
            failpoints: parts.failpoints,
            hub: Hub::default(),
            lookout: Lookout::default(),
            awaited: Awaited::default(),
            holdings: Holdings::default(),
            work: Notify::new(),
            alarm: Alarm::default(),
            ticks: Ticks::default(),
            report: Report::default(),
            database: parts.database,
            closing: AtomicBool::new(false),
            over: AtomicBool::new(false),
            pulse: OnceLock::new(),
            doubted: AtomicBool::new(false),
            end: Arc::default(),
            running: OnceLock::new(),
            other_arguments: Seldom::default(),
            claiming: AtomicUsize::new(0),
            committer: OnceLock::new(),
            runtime: parts.runtime,
            reads: Arc::new(Semaphore::new(readers as usize)),
            guests: Arc::new(Semaphore::new(guests as usize)),
            doubts: Semaphore::new(1),
            bulk: Arc::new(Semaphore::new(bulk as usize)),
            reading: Mutex::default(),
            registered: Mutex::new(None),
            renewed: SharedMoment::none(),
            lock: Mutex::new(None),
        })
    }

    /// Connects the pipeline; once.
    pub fn connect(&self, committer: Committer) {
        // A second call would be a bug of `open`; the first pipeline stays.
        let _ = self.committer.set(committer);
    }

    /// Notes what keeps its threads; once.
    pub fn runs_as(&self, running: Weak<dyn Any + Send + Sync>) {
        // A second call would be a bug of `open`; the first one stays.
        let _ = self.running.set(running);
    }

    /// See [`Host::runs_as`]; `None` once nobody holds the engine any more.
    pub fn running(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.running.get()?.upgrade()
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

    /// This worker's row; nobody, before it is registered.
    pub fn worker(&self) -> WorkerId {
        self.holdings.worker().unwrap_or(WorkerId::NOBODY)
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

    /// Whether this worker executes runs of that workflow in that queue.
    pub fn executes(&self, workflow: &str, queue: &str) -> bool {
        let has_queue = || self.config.queues.iter().any(|(name, _)| name == queue);
        self.serves(workflow) && has_queue()
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
        self.offer(runs);
        for reservation in &reserved {
            self.unreserve(reservation);
        }
    }

    /// Gives reserved room back; others may have waited for it.
    pub fn unreserve(&self, reservation: &Reservation) {
        self.slots.unreserve(reservation);
        if self.slots.has_more_due(&reservation.queue) {
            self.work.notify_one();
        }
    }

    /// Leaves to other workers what was claimed ahead here and has not begun.
    pub fn hand_back(self: &Arc<Self>, runs: &[ClaimedRun]) {
        let Some(worker) = self.holdings.worker() else {
            return;
        };
        let given = self.holdings.give_up(runs);
        let host = Arc::clone(self);
        self.spawn("the return of claims", async move {
            for page in given.chunks(HAND_BACK_PAGE) {
                let (page, clock) = (page.to_vec(), Arc::clone(&host.clock));
                let release = move |writer: &mut dyn Writer| {
                    writer.release_orphans(worker, &page, clock.now())
                };
                // Nobody here holds them any more: if this fails, heartbeats find them.
                match host.committer().call("release_orphans", release).await {
                    Ok(_) => host.announce_due(),
                    Err(error) => {
                        tracing::debug!(target: TARGET, %error, "runs were not handed back yet");
                    }
                }
            }
        });
    }

    /// Gives held runs to their queues' slots.
    pub fn offer(self: &Arc<Self>, runs: Vec<ClaimedRun>) {
        for queue in self.slots.offer(runs, Instant::now()) {
            let slot = super::executor::work_slot(Arc::clone(self), queue);
            self.spawn("a slot", slot);
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
        match durable {
            true => self.holdings.went_well(run.id),
            false => self.holdings.note_uncounted(run.id, run.epoch),
        }
        let Some(settled) = settled.filter(|_| durable) else {
            return;
        };
        if settled.state == RunState::Completed {
            self.report.completed(run);
        }
        let is_awaited_here = self.hub.settle(run, &settled);
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
        if !self.holdings.loses_again_and_again(run) {
            return;
        }
        self.report.lost_pass(run, name, losses);
        let crashes = self.config.crashes.quarantine_from;
        let host = Arc::clone(self);
        self.spawn("the quarantine of a run", async move {
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

    /// Starts a task of the engine's own: if it panics, or goes with its runtime, the engine stops.
    pub fn spawn(
        self: &Arc<Self>,
        part: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.runtime
            .spawn(parts::task(Arc::clone(self), part, task))
    }

    /// As [`Host::read_for_user`], for what a body asks for of its children. With three places or
    /// more, others have one beside such reads.
    pub async fn read_in_bulk<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&dyn Store) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let place = Arc::clone(&self.bulk).acquire_owned().await;
        self.read_for_user(keeping(place, read)).await
    }

    /// As [`Host::read`], for what a user asks for, which may take long: the engine always has a
    /// place beside such reads, if there are two.
    pub async fn read_for_user<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&dyn Store) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let place = Arc::clone(&self.guests).acquire_owned().await;
        self.read(keeping(place, read)).await
    }

    /// Reads from the store on a blocking thread. Who finds every connection lent waits as a task:
    /// waiting in a thread, a crowd of retries costs hundreds of threads and their stacks. A caller
    /// that is gone does not end the read, which keeps its place until it is over.
    pub async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&dyn Store) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        // Never closed, so there is always a place in the end.
        let place = Arc::clone(&self.reads).acquire_owned().await;
        let read = keeping(place, read);
        let store = Arc::clone(&self.store);
        let joined = self
            .runtime
            .spawn_blocking(move || read(store.as_ref()))
            .await;
        joined.unwrap_or_else(|error| {
            let kind = match error.is_panic() {
                true => StoreErrorKind::Corrupt,
                false => {
                    // Its runtime is gone, and perhaps nobody has said so yet.
                    self.halt(Error::RuntimeGone, Leave::HandBack);
                    StoreErrorKind::Closed
                }
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
        let is_time = reading.is_time_to_tell(error);
        // A subscriber may be slow.
        drop(reading);
        if is_time {
            telemetry::tell(error, &format!("a read for run {run} failed"));
        }
    }

    /// Why this process writes nothing more of a run until somebody has mended it: of one that it executes,
    /// what holds up its plans; of others, which may wait for its children, what holds up any.
    pub fn obstacle(&self, run: RunId) -> Option<StoreError> {
        let is_held = !self.holdings.passes(&[run]).is_empty();
        self.committer().obstacle(is_held.then_some(run))
    }
}

/// The read, which gives its place back once it is over.
fn keeping<P: Send + 'static, T>(
    place: P,
    read: impl FnOnce(&dyn Store) -> StoreResult<T> + Send + 'static,
) -> impl FnOnce(&dyn Store) -> StoreResult<T> + Send + 'static {
    move |store| {
        let _place = place;
        read(store)
    }
}

impl CommitObserver for Host {
    fn stopped(&self, reason: &StoreError) {
        // What is there is not what this engine opened: nothing more is written to it.
        self.halt(Error::Store(reason.clone()), Leave::Silently);
    }

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
