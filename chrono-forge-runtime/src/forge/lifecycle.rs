//! From `open` to the end: the commit threads, the scheduler, the heartbeat, the auditor, and how
//! they stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::unserved;

use crate::commit::Committer;
use crate::engine::audit::auditor::Auditor;
use crate::engine::host::{Host, HostParts};
use crate::engine::scheduler::Scheduler;
use crate::engine::{calls, liveness, timekeeping};
use crate::error::Error;
use crate::store::{StoreError, StoreErrorKind, StoreResult, Writer};
use crate::telemetry::TARGET;

/// How often a shutdown looks whether the last pass has ended.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// How long a simulated death waits for bodies that are being polled.
#[cfg(feature = "testing")]
const DEATH_MAX: Duration = Duration::from_secs(1);

/// How long an engine that is dropped without a shutdown waits for its threads.
const CLOSE_MAX: Duration = Duration::from_millis(250);

/// However short the grace, the last writes get this long.
const WRITE_MIN: Duration = Duration::from_secs(1);

/// The running parts of an engine.
pub(super) struct Lifecycle {
    pub(super) host: Arc<Host>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
    /// Renews the lease.
    pulse: Mutex<Option<std::thread::JoinHandle<()>>>,
    /// Hears other processes.
    listener: Mutex<Option<std::thread::JoinHandle<()>>>,
    closed: AtomicBool,
    /// A shutdown waits for no pass any more.
    cut_off: AtomicBool,
    /// Told when a shutdown is over.
    ended: watch::Sender<bool>,
}

impl Lifecycle {
    pub(super) async fn begin(parts: HostParts) -> Result<Self, Error> {
        let host = Host::new(parts);
        let opened = tokio::task::spawn_blocking({
            let host = Arc::clone(&host);
            move || open_committer(&host)
        });
        let (committer, threads) = opened.await.map_err(|_| Error::Closed)??;
        host.connect(committer);
        let lifecycle = Self {
            host,
            tasks: Mutex::default(),
            threads: Mutex::new(threads),
            pulse: Mutex::default(),
            listener: Mutex::default(),
            closed: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
            ended: watch::Sender::new(false),
        };
        lifecycle.listen()?;
        if lifecycle.host.config.worker {
            lifecycle.work().await?;
        }
        Ok(lifecycle)
    }

    /// Tells other processes and hears them, and keeps their time, where the database carries that.
    fn listen(&self) -> Result<(), Error> {
        let host = &self.host;
        let listener = calls::listen(host)
            .map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))?;
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = listener;
        self.keep([
            tokio::spawn(calls::send(Arc::clone(host))),
            tokio::spawn(timekeeping::keep(Arc::clone(host))),
        ]);
        Ok(())
    }

    async fn work(&self) -> Result<(), Error> {
        let (pulse, mut watch) = liveness::begin(Arc::clone(&self.host)).await?;
        // Before anything else: to recover what others held may take its time.
        let pulse = pulse
            .start()
            .map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))?;
        *self.pulse.lock().unwrap_or_else(PoisonError::into_inner) = Some(pulse);
        self.keep([tokio::spawn(liveness::runtime::tick(Arc::clone(
            &self.host,
        )))]);
        watch.recover().await;
        let scheduler = Scheduler::new(Arc::clone(&self.host));
        let auditor = Auditor::new(Arc::clone(&self.host));
        self.keep([
            tokio::spawn(watch.run()),
            tokio::spawn(scheduler.run()),
            tokio::spawn(auditor.run()),
            tokio::spawn(unserved::report(Arc::clone(&self.host))),
        ]);
        Ok(())
    }

    fn keep(&self, tasks: impl IntoIterator<Item = JoinHandle<()>>) {
        let mut kept = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(tasks);
    }

    /// Ends the wait of a shutdown for passes: what still executes is cut off.
    pub(super) fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }

    /// Waits for the end of a shutdown, whoever asked for it.
    pub(super) async fn ended(&self) {
        // The sender lives as long as this.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) async fn shutdown(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let host = &self.host;
        host.closing.store(true, Ordering::Release);
        host.work.notify_one();
        // Claimed but not begun: handed back with the worker's row below.
        host.slots.drain_buffers();
        let deadline = Instant::now() + host.config.shutdown_grace;
        loop {
            let passes = host.holdings.all_passes();
            // A slot that has just taken a run has not begun its pass yet.
            let is_quiet = passes.is_empty() && host.slots.running() == 0;
            let cut_off = self.cut_off.load(Ordering::Acquire);
            if is_quiet || cut_off || Instant::now() >= deadline {
                break;
            }
            for pass in passes {
                pass.drain();
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
        host.lose_all();
        let worker = host.holdings.worker();
        let bound = host.config.shutdown_grace.max(WRITE_MIN);
        let written = tokio::time::timeout(bound, self.write_out()).await;
        host.hub.close();
        self.stop_tasks();
        if written.is_err() {
            // The database is full, away or locked: what is unwritten is as if we had crashed now.
            tracing::warn!(target: TARGET, "the database did not take the last writes; the runs are recovered once it does");
            host.crash();
        } else if let (Some(locks), Some(worker)) = (host.store.worker_locks(), worker) {
            locks.remove(worker);
        }
        self.disconnect().await;
        self.ended.send_replace(true);
    }

    /// Gives up what the writers, which are gone, have left of connections. A listener that is connecting anew ends
    /// without being waited for.
    async fn disconnect(&self) {
        let store = Arc::clone(&self.host.store);
        let listener = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let disconnect = move || {
            store.close();
            // A panic of it has nothing left to tell.
            listener.map(std::thread::JoinHandle::join)
        };
        let gone = tokio::task::spawn_blocking(disconnect);
        let _ = tokio::time::timeout(WRITE_MIN, gone).await;
    }

    /// Waits until everything that was submitted is written, and hands the worker's runs back.
    async fn write_out(&self) {
        let host = &self.host;
        // First what passes have done: once the worker has left, its fence turns everything away.
        host.committer().written().await;
        host.end();
        self.await_pulse().await;
        if let Some(worker) = host.holdings.worker() {
            let clock = Arc::clone(&host.clock);
            let retire = move |writer: &mut dyn Writer| writer.retire_worker(worker, clock.now());
            match host.committer().call("retire", retire).await {
                // Others take over at once.
                Ok(()) => host.announce_due(),
                Err(error) => {
                    tracing::warn!(target: TARGET, %error, "the worker could not be retired; its lease will expire");
                }
            }
        }
        calls::tell(host).await;
        host.committer().close();
        let threads = std::mem::take(&mut *self.threads());
        // They end once their queues are written; a panic of one has nothing left to tell.
        let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await;
    }

    /// Waits for a heartbeat that is under way: one that learned of its death would register anew behind our back.
    async fn await_pulse(&self) {
        let pulse = self
            .pulse
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A panic of it has stopped the engine.
        let join = move || pulse.map(std::thread::JoinHandle::join);
        let _ = tokio::task::spawn_blocking(join).await;
    }

    fn have_threads_ended(&self) -> bool {
        let threads = self.threads();
        threads.iter().all(std::thread::JoinHandle::is_finished)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<std::thread::JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the threads time to close their connections: a process that ends meanwhile, with an error that went past
    /// `shutdown`, takes the TLS library away under them.
    fn await_threads(&self) {
        let deadline = Instant::now() + CLOSE_MAX;
        while !self.are_threads_gone() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn are_threads_gone(&self) -> bool {
        let listener = self.listener.lock();
        let listener = listener.unwrap_or_else(PoisonError::into_inner);
        let pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |thread: &Option<std::thread::JoinHandle<()>>| {
            let thread = thread.as_ref();
            thread.is_none_or(std::thread::JoinHandle::is_finished)
        };
        is_gone(&listener) && is_gone(&pulse) && self.have_threads_ended()
    }

    fn stop_tasks(&self) {
        for task in self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
    }

    #[cfg(feature = "testing")]
    pub(super) fn crash(&self) {
        self.closed.store(true, Ordering::Release);
        self.host.crash();
        self.stop_tasks();
        self.ended.send_replace(true);
    }

    /// Waits for the commit threads to have died at a failpoint, then lets go of everything else.
    #[cfg(feature = "testing")]
    pub(super) async fn crashed(&self) {
        loop {
            let ended = self.have_threads_ended();
            if ended {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.crash();
        // As after the death of a process, its lock is free and its bodies do nothing any more.
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
        let deadline = Instant::now() + DEATH_MAX;
        while self.host.slots.running() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.host.crash();
            self.stop_tasks();
            self.await_threads();
        }
    }
}

/// The commit threads over the host's store. Blocks.
fn open_committer(host: &Arc<Host>) -> StoreResult<(Committer, Vec<std::thread::JoinHandle<()>>)> {
    Committer::open(
        host.store.as_ref(),
        host.config.worker,
        host.config.batch,
        Arc::clone(&host.clock),
        Arc::clone(host) as _,
        Arc::clone(&host.failpoints),
        &tokio::runtime::Handle::current(),
    )
}
