//! How an engine comes to its end.
//!
//! A shutdown runs on a thread of its own: the future of who asked for it may be dropped, it may belong to a pass
//! that the shutdown cuts off, and the engine's runtime may be gone, or a single thread that nobody drives any
//! more. Everybody who asks waits for the same end. A halted engine ([`Host::halt`]) comes to its end on such a
//! thread, too.
//!
//! ```text
//! shutdown: drain passes (grace) -> lose the rest -> write out -> retire the worker -> disconnect -> ended
//! halted:   (nothing more is written)              -> retire the worker, if it may -> disconnect -> ended
//! dropped:  crash, or cut off the grace of a shutdown that is under way
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle as Task;

use crate::engine::calls;
use crate::engine::end::Leave;
use crate::engine::host::Host;
use crate::engine::report::Tiding;
use crate::store::{StoreResult, Writer};
use crate::telemetry::TARGET;

type Thread = std::thread::JoinHandle<()>;

/// How often the end looks whether the last pass, the last start and the last thread have ended.
const POLL: Duration = Duration::from_millis(5);

/// As [`POLL`], for threads, which end at once.
const THREAD_POLL: Duration = Duration::from_millis(1);

/// How long a simulated death waits for bodies that are being polled.
#[cfg(feature = "testing")]
const DEATH_MAX: Duration = Duration::from_secs(1);

/// How long an engine that is dropped without a shutdown waits for its threads.
const CLOSE_MAX: Duration = Duration::from_millis(250);

/// However short the grace, the last writes get this long.
const WRITE_MIN: Duration = Duration::from_secs(1);

/// What has to be stopped of an engine.
pub(super) struct Running {
    host: Arc<Host>,
    tasks: Mutex<Vec<Task<()>>>,
    threads: Mutex<Vec<Thread>>,
    /// Renews the lease.
    pulse: Mutex<Option<Thread>>,
    /// Hears other processes.
    listener: Mutex<Option<Thread>>,
    /// The thread that brings it to its end is on its way.
    ending: AtomicBool,
    /// The end waits for no pass any more.
    cut_off: AtomicBool,
}

impl Running {
    pub(super) fn new(host: Arc<Host>, threads: Vec<Thread>) -> Arc<Self> {
        let running = Arc::new(Self {
            host: Arc::clone(&host),
            tasks: Mutex::default(),
            threads: Mutex::new(threads),
            pulse: Mutex::default(),
            listener: Mutex::default(),
            ending: AtomicBool::new(false),
            cut_off: AtomicBool::new(false),
        });
        // The host is part of it, and so must not keep it.
        let halted = Arc::downgrade(&running);
        host.end.finish_with(move || {
            if let Some(running) = Weak::upgrade(&halted) {
                running.begin_end();
            }
        });
        running
    }

    pub(super) fn keep(&self, task: Task<()>) {
        lock(&self.tasks).push(task);
    }

    pub(super) fn keep_pulse(&self, pulse: Thread) {
        *lock(&self.pulse) = Some(pulse);
    }

    pub(super) fn keep_listener(&self, listener: Option<Thread>) {
        *lock(&self.listener) = listener;
    }

    pub(super) fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
    }

    /// Begins an orderly end, unless one is under way or over.
    pub(super) fn begin_shutdown(self: &Arc<Self>) {
        let host = &self.host;
        if host.is_over() || host.closing.swap(true, Ordering::SeqCst) {
            // Whoever closed it has begun the end, too, or it is crashing.
            return;
        }
        host.work.notify_one();
        // Claimed but not begun: handed back with the worker's row.
        host.slots.drain_buffers();
        for pass in host.holdings.all_passes() {
            pass.drain();
        }
        self.begin_end();
    }

    fn begin_end(self: &Arc<Self>) {
        if self.ending.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("chrono-forge-end".to_owned())
            .spawn(move || {
                running.come_to_an_end();
                // Nobody hears of the end while this thread may hold the last of the store: its
                // connections close with it, and a process that ends at once would leave SQLite's
                // log behind.
                let end = Arc::clone(&running.host.end);
                let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
                end.ended();
            });
        if let Err(error) = thread {
            tracing::error!(target: TARGET, %error, "no thread could be started for the shutdown; the runs are recovered as after a crash");
            self.crash();
        }
    }

    /// On a thread of its own. Who waits for the end is not told yet.
    fn come_to_an_end(&self) {
        let timers = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let ended = catch_unwind(AssertUnwindSafe(|| match timers {
            Ok(timers) => {
                timers.block_on(self.end());
                // A connection that cannot be closed is not waited for.
                timers.shutdown_background();
            }
            Err(error) => {
                tracing::error!(target: TARGET, %error, "the shutdown has no timers; the runs are recovered as after a crash");
            }
        }));
        if ended.is_err() {
            tracing::error!(target: TARGET, "the shutdown panicked; what it had not handed back is recovered as after a crash");
        }
        // Nothing is left of an orderly end; whatever else came up here, this is the end.
        self.let_go();
    }

    async fn end(&self) {
        let host = &self.host;
        let (begun, worker) = (Instant::now(), host.registered());
        let is_asked_for = !host.is_over();
        if !host.is_over() {
            self.drain().await;
            self.tell_cut_off();
            host.lose_all();
        }
        // It may have been halted, or its last handle dropped, meanwhile.
        if !host.is_over() {
            self.write_out_in_time().await;
        }
        host.hub.close();
        self.stop_tasks();
        // One that waits for the database may take longer.
        let _ = tokio::time::timeout(WRITE_MIN, self.await_commits()).await;
        let _ = tokio::time::timeout(WRITE_MIN, self.await_pulse()).await;
        if host.end.leave() == Some(Leave::HandBack) {
            self.retire_anew().await;
        }
        host.keep_lock(None);
        self.disconnect().await;
        host.report.tell_all_counts();
        if is_asked_for && host.end.reason().is_none() {
            host.report.closed(worker, begun.elapsed());
        }
    }

    /// Lets passes reach a durable point, for as long as the grace.
    async fn drain(&self) {
        let host = &self.host;
        let begun = Instant::now();
        loop {
            let passes = host.holdings.all_passes();
            // A slot that has just taken a run has not begun its pass yet.
            let is_quiet = passes.is_empty() && host.slots.running() == 0;
            let is_cut_off = self.cut_off.load(Ordering::Acquire) || host.is_over();
            if is_quiet || is_cut_off || begun.elapsed() >= host.config.shutdown_grace {
                break;
            }
            for pass in passes {
                pass.drain();
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Tells of the steps that are not waited for any longer.
    fn tell_cut_off(&self) {
        let host = &self.host;
        for pass in host.holdings.all_passes() {
            for step in pass.executing() {
                host.report.tell(&pass.run, Tiding::CutOff { step });
            }
        }
    }

    /// Writes what is left, for as long as the grace, too; when nobody wants to wait any more, for a moment.
    async fn write_out_in_time(&self) {
        let host = &self.host;
        let bound = host.config.shutdown_grace.max(WRITE_MIN);
        let cut_off = async {
            while !self.cut_off.load(Ordering::Acquire) {
                tokio::time::sleep(POLL).await;
            }
            tokio::time::sleep(WRITE_MIN).await;
        };
        let is_written = tokio::select! {
            is_retired = self.write_out() => is_retired,
            () = tokio::time::sleep(bound) => false,
            () = cut_off => false,
        };
        if !is_written {
            if host.end.reason().is_none() {
                // The database is full, away or locked: what is unwritten is as if we had crashed now.
                tracing::warn!(target: TARGET, "the database did not take the last writes; the runs are recovered once it does");
                host.crash();
            }
        } else if let (Some(locks), Some(worker)) = (host.store.worker_locks(), host.registered()) {
            locks.remove(worker);
        }
    }

    /// Waits until everything that was submitted is written, and hands the worker's runs back; whether that was
    /// done.
    async fn write_out(&self) -> bool {
        let host = &self.host;
        // A start that was promised a slot before the end began is claimed for a worker that must still be there.
        while host.claiming.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(THREAD_POLL).await;
        }
        // First what passes have done: once the worker has left, its fence turns everything away.
        host.committer().written().await;
        host.be_over();
        let mut is_retired = true;
        if host.config.worker {
            let leaving = Arc::clone(host);
            // Behind whoever registers anew just now: from here on nobody does.
            let retire = move |writer: &mut dyn Writer| match leaving.registered() {
                Some(worker) => writer.retire_worker(worker, leaving.clock.now()),
                None => Ok(()),
            };
            match host.committer().call_alive("retire", retire).await {
                // Others take over at once.
                Ok(()) => host.announce_due(),
                Err(error) => {
                    is_retired = false;
                    tracing::warn!(target: TARGET, %error, "the worker could not be retired; its runs are recovered once its lease has expired");
                }
            }
        }
        calls::tell(host).await;
        host.committer().close();
        // They end once their queues are written.
        self.await_commits().await;
        is_retired
    }

    /// Waits for the commit threads, which were told to end.
    async fn await_commits(&self) {
        while !self.have_threads_ended() {
            tokio::time::sleep(THREAD_POLL).await;
        }
    }

    /// Waits for the heartbeat's thread, which hears of the end at once unless it waits for the database.
    async fn await_pulse(&self) {
        while !is_gone(&self.pulse) {
            tokio::time::sleep(THREAD_POLL).await;
        }
    }

    /// Hands the runs of a halted engine back, over a connection that nothing has died with.
    async fn retire_anew(&self) {
        let host = Arc::clone(&self.host);
        let Some(worker) = host.registered() else {
            return;
        };
        let retire = move || -> StoreResult<()> {
            let mut writer = host.store.writer()?;
            writer.retire_worker(worker, host.clock.now())?;
            if let Some(locks) = host.store.worker_locks() {
                locks.remove(worker);
            }
            // Others look for what is due. Who hears nothing looks at its poll interval.
            let _ = writer.notify(&[crate::store::Call::Due]);
            Ok(())
        };
        let retiring = tokio::task::spawn_blocking(retire);
        let retired = tokio::time::timeout(WRITE_MIN * 10, retiring).await;
        if !matches!(retired, Ok(Ok(Ok(())))) {
            tracing::warn!(target: TARGET, %worker, "the worker could not be retired; its runs are recovered once its lease has expired");
        }
    }

    /// Gives up what the writers, which are gone, have left of connections. A listener that is connecting anew ends
    /// without being waited for.
    async fn disconnect(&self) {
        let store = Arc::clone(&self.host.store);
        let listener = lock(&self.listener).take();
        let disconnect = move || {
            store.close();
            // A panic of it has nothing left to tell.
            listener.map(std::thread::JoinHandle::join)
        };
        let gone = tokio::task::spawn_blocking(disconnect);
        let _ = tokio::time::timeout(WRITE_MIN, gone).await;
    }

    /// The last handle is gone. What executes is cut off as by a crash, unless an end is under way, which hands it
    /// back.
    pub(super) fn abandon(&self) {
        if self.host.end.has_ended() {
            return;
        }
        self.cut_off();
        if !self.ending.swap(true, Ordering::AcqRel) {
            self.crash();
        }
        self.await_threads();
    }

    pub(super) fn crash(&self) {
        self.let_go();
        self.host.end.ended();
    }

    /// Writes nothing more, and drops what is left of the engine.
    fn let_go(&self) {
        self.host.crash();
        self.host.hub.close();
        self.stop_tasks();
    }

    /// Waits for the commit threads to have died at a failpoint, then lets go of everything else.
    #[cfg(feature = "testing")]
    pub(super) async fn crashed(&self) {
        while !self.have_threads_ended() {
            tokio::time::sleep(THREAD_POLL).await;
        }
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        self.crash();
        // As after the death of a process, its lock is free and its bodies do nothing any more.
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
        let deadline = Instant::now() + DEATH_MAX;
        while self.host.slots.running() > 0 && Instant::now() < deadline {
            tokio::time::sleep(THREAD_POLL).await;
        }
    }

    fn have_threads_ended(&self) -> bool {
        let threads = lock(&self.threads);
        threads.iter().all(Thread::is_finished)
    }

    /// Gives the threads time to close their connections: a process that ends meanwhile, with an error that went past
    /// `shutdown`, takes the TLS library away under them.
    fn await_threads(&self) {
        let deadline = Instant::now() + CLOSE_MAX;
        while !self.are_threads_gone() && Instant::now() < deadline {
            std::thread::sleep(THREAD_POLL);
        }
    }

    fn are_threads_gone(&self) -> bool {
        is_gone(&self.listener)
            && is_gone(&self.pulse)
            && self.have_threads_ended()
            && self.host.end.has_ended()
    }

    fn stop_tasks(&self) {
        for task in lock(&self.tasks).drain(..) {
            task.abort();
        }
    }
}

fn is_gone(thread: &Mutex<Option<Thread>>) -> bool {
    lock(thread).as_ref().is_none_or(Thread::is_finished)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
