//! From `open` to the end: the commit threads, the scheduler, the heartbeat, the auditor, and how
//! they stop.

mod ending;

use std::future::Future;
use std::sync::Arc;

use super::unserved;

use crate::commit::Committer;
use crate::engine::audit::auditor::Auditor;
use crate::engine::host::{Host, HostParts};
use crate::engine::parts::unopened;
use crate::engine::pass::Pass;
use crate::engine::scheduler::Scheduler;
use crate::engine::{calls, liveness, settling, timekeeping};
use crate::error::Error;
use crate::store::{StoreError, StoreErrorKind, StoreResult};
use ending::Running;

/// The running parts of an engine, held by its handles: it goes with the last one.
pub(super) struct Lifecycle {
    pub(super) host: Arc<Host>,
    running: Arc<Running>,
}

impl Lifecycle {
    pub(super) async fn begin(parts: HostParts) -> Result<Self, Error> {
        let host = Host::new(parts);
        let opened = host.runtime().spawn_blocking({
            let host = Arc::clone(&host);
            move || open_committer(&host)
        });
        let (committer, threads) = opened.await.map_err(unopened)??;
        host.connect(committer);
        let running = Running::new(Arc::clone(&host), threads);
        let lifecycle = Self { host, running };
        // The last of the tasks that end, and the only one of an engine that neither works nor hears others: it
        // tells of the end of the runtime.
        lifecycle.keep("the runtime's watch", std::future::pending());
        lifecycle.listen()?;
        let follower = settling::Led::new(&lifecycle.host);
        if let Some(leading) = lifecycle.host.clock.lead(Arc::new(follower)) {
            lifecycle.keep("the clock", leading);
        }
        if lifecycle.host.config.worker {
            let working = lifecycle.work().await;
            // A part that died meanwhile is why.
            let why = |error| lifecycle.host.end.reason().unwrap_or(error);
            working.map_err(why)?;
        }
        Ok(lifecycle)
    }

    /// Tells other processes and hears them, and keeps their time, where the database carries that.
    fn listen(&self) -> Result<(), Error> {
        let host = &self.host;
        let listener = calls::listen(host)
            .map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))?;
        self.running.keep_listener(listener);
        self.keep("the teller of calls", calls::send(Arc::clone(host)));
        self.keep("the timekeeper", timekeeping::keep(Arc::clone(host)));
        Ok(())
    }

    async fn work(&self) -> Result<(), Error> {
        let (pulse, mut watch) = liveness::begin(Arc::clone(&self.host)).await?;
        // Before anything else: to recover what others held may take its time.
        let pulse = pulse
            .start()
            .map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))?;
        self.running.keep_pulse(pulse);
        self.keep(
            "the ticking task",
            liveness::runtime::tick(Arc::clone(&self.host)),
        );
        watch.recover().await;
        let scheduler = Scheduler::new(Arc::clone(&self.host));
        let auditor = Auditor::new(Arc::clone(&self.host));
        self.keep("the watch over workers", watch.run());
        self.keep("the scheduler", scheduler.run());
        self.keep("the auditor", auditor.run());
        self.keep(
            "the start-up report",
            unserved::report(Arc::clone(&self.host)),
        );
        Ok(())
    }

    /// Runs a part of the engine, without which the engine stops.
    fn keep(&self, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.running.keep(self.host.spawn(part, work));
    }

    /// Ends the wait of a shutdown for passes: what still executes is cut off.
    pub(super) fn cut_off(&self) {
        self.running.cut_off();
    }

    /// Waits for the end, whoever asked for it; the reason when nobody did.
    pub(super) async fn ended(&self) -> Result<(), Error> {
        self.host.end.until_ended().await;
        self.host.end.reason().map_or(Ok(()), Err)
    }

    /// Begins the shutdown, unless it has begun, and waits for its end. The end is the engine's own, so it comes
    /// whatever becomes of the caller. A body or a step of this engine does not wait: the shutdown waits for it.
    pub(super) async fn shutdown(&self) {
        self.running.begin_shutdown();
        let is_waited_for = |pass: Arc<Pass>| Arc::ptr_eq(&pass.host, &self.host);
        if !Pass::current().is_some_and(is_waited_for) {
            self.host.end.until_ended().await;
        }
    }

    #[cfg(feature = "testing")]
    pub(super) fn crash(&self) {
        self.running.crash();
    }

    /// Waits for the commit threads to have died at a failpoint, then lets go of everything else.
    #[cfg(feature = "testing")]
    pub(super) async fn crashed(&self) {
        self.running.crashed().await;
    }
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        self.running.abandon();
    }
}

/// The commit threads over the host's store. Blocks.
fn open_committer(host: &Arc<Host>) -> StoreResult<(Committer, Vec<std::thread::JoinHandle<()>>)> {
    Committer::open(
        &host.store,
        host.config.worker,
        host.config.batch,
        Arc::clone(&host.clock),
        Arc::clone(host) as _,
        Arc::clone(&host.failpoints),
        host.runtime(),
    )
}
