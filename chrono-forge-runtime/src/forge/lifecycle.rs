//! From `open` to the end: the commit thread, the scheduler, the heartbeat, the auditor, and how
//! they stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::commit::Committer;
use crate::engine::audit::auditor::Auditor;
use crate::engine::host::{Host, HostParts};
use crate::engine::liveness::Liveness;
use crate::engine::scheduler::Scheduler;
use crate::error::Error;
use crate::store::{StoreError, StoreErrorKind};
use crate::telemetry::TARGET;

/// How often a shutdown looks whether the last pass has ended.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// How long a simulated death waits for bodies that are being polled.
#[cfg(feature = "testing")]
const DEATH_MAX: Duration = Duration::from_secs(1);

/// However short the grace, the last writes get this long.
const WRITE_MIN: Duration = Duration::from_secs(1);

/// Names that the start-up report lists.
const REPORT_MAX: u32 = 20;

/// The running parts of an engine.
pub(super) struct Lifecycle {
    pub(super) host: Arc<Host>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    closed: AtomicBool,
}

impl Lifecycle {
    pub(super) async fn begin(parts: HostParts) -> Result<Self, Error> {
        let limits = parts.config.batch;
        let host = Host::new(parts);
        let writer = host.store.writer()?;
        let (clock, failpoints) = (Arc::clone(&host.clock), Arc::clone(&host.failpoints));
        let (committer, thread) =
            Committer::open(writer, limits, clock, Arc::clone(&host) as _, failpoints)
                .map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))?;
        host.connect(committer);
        let lifecycle = Self {
            host,
            tasks: Mutex::default(),
            thread: Mutex::new(Some(thread)),
            closed: AtomicBool::new(false),
        };
        if lifecycle.host.config.worker {
            lifecycle.work().await?;
        }
        Ok(lifecycle)
    }

    async fn work(&self) -> Result<(), Error> {
        let mut liveness = Liveness::register(Arc::clone(&self.host)).await?;
        liveness.recover().await;
        let scheduler = Scheduler::new(Arc::clone(&self.host));
        let auditor = Auditor::new(Arc::clone(&self.host));
        let tasks = [
            tokio::spawn(liveness.run()),
            tokio::spawn(scheduler.run()),
            tokio::spawn(auditor.run()),
            tokio::spawn(report_unknown(Arc::clone(&self.host))),
        ];
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(tasks);
        Ok(())
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
            let passes = host.all_passes();
            // A slot that has just taken a run has not begun its pass yet.
            let is_quiet = passes.is_empty() && host.slots.running() == 0;
            if is_quiet || Instant::now() >= deadline {
                break;
            }
            for pass in passes {
                pass.drain();
            }
            tokio::time::sleep(DRAIN_POLL).await;
        }
        host.lose_all();
        let bound = host.config.shutdown_grace.max(WRITE_MIN);
        let written = tokio::time::timeout(bound, self.write_out()).await;
        host.hub.close();
        self.stop_tasks();
        if written.is_err() {
            // The database is full, away or locked: what is unwritten is as if we had crashed now.
            tracing::warn!(target: TARGET, "the database did not take the last writes; the runs are recovered once it does");
            host.crash();
        } else if let Some(locks) = host.store.worker_locks().filter(|_| host.config.worker) {
            locks.remove(host.worker());
        }
    }

    /// Hands the worker's runs back, and waits until everything that was submitted is written.
    async fn write_out(&self) {
        let host = &self.host;
        if host.config.worker {
            let (worker, clock) = (host.worker(), Arc::clone(&host.clock));
            let retired = host
                .committer()
                .call("retire", move |writer| {
                    writer.retire_worker(worker, clock.now())
                })
                .await;
            if let Err(error) = retired {
                tracing::warn!(target: TARGET, %error, "the worker could not be retired; its lease will expire");
            }
        }
        host.committer().close();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // The thread ends once its queue is written; a panic of it has nothing left to tell.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
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
    }

    /// Waits for the commit thread to have died at a failpoint, then lets go of everything else.
    #[cfg(feature = "testing")]
    pub(super) async fn crashed(&self) {
        loop {
            let ended = self
                .thread
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .is_none_or(std::thread::JoinHandle::is_finished);
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
        }
    }
}

/// Tells once, at start-up, of due runs that nobody here can execute.
async fn report_unknown(host: Arc<Host>) {
    let (names, now) = (host.registry.names(), host.clock.now());
    match host
        .read(move |store| store.unknown_due(&names, now, REPORT_MAX))
        .await
    {
        Ok(unknown) if !unknown.is_empty() => {
            tracing::warn!(target: TARGET, workflows = ?unknown, "due runs of workflows that this worker does not know wait; a crate that nobody names is not linked: `use my_workflows as _;`");
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(target: TARGET, %error, "the start-up report failed"),
    }
}
