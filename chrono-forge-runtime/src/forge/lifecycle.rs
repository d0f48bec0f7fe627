//! From `open` to the end: the commit threads, the scheduler, the heartbeat, the auditor, and how
//! they stop.

mod ending;

use std::future::Future;
use std::sync::{Arc, Weak};

use super::{reports, unserved};

use crate::commit::Committer;
use crate::definition::{Definition, registered};
use crate::engine::audit::auditor::Auditor;
use crate::engine::host::{Host, HostParts};
use crate::engine::parts::unopened;
use crate::engine::pass::Pass;
use crate::engine::report::Opened;
use crate::engine::scheduler::Scheduler;
use crate::engine::{applications, calls, liveness, lookout, settling, timekeeping};
use crate::error::Error;
use crate::store::{StoreError, StoreErrorKind, StoreResult};
use ending::Running;

/// The running parts of an engine. Holds none of them alive: see [`Owner`].
pub(super) struct Lifecycle {
    pub(super) host: Arc<Host>,
    running: Weak<Running>,
}

/// Whom an engine lives for: it goes with the last one. What the engine itself gives to a body is none, or it would
/// keep itself alive.
pub(super) struct Owner {
    host: Arc<Host>,
    running: Arc<Running>,
}

impl Lifecycle {
    pub(super) async fn begin(parts: HostParts) -> Result<(Self, Owner), Error> {
        let host = Host::new(parts);
        let opened = host.runtime().spawn_blocking({
            let host = Arc::clone(&host);
            move || open_committer(&host)
        });
        let (committer, threads) = opened.await.map_err(unopened)??;
        host.connect(committer);
        let running = Running::new(Arc::clone(&host), threads);
        // Before anything executes, since a body may ask for it.
        let known: Weak<Running> = Arc::downgrade(&running);
        host.runs_as(known);
        let owner = Owner { host, running };
        // The last of the tasks that end, and the only one of an engine that neither works nor hears others: it
        // tells of the end of the runtime.
        owner.keep("the runtime's watch", std::future::pending());
        owner.listen()?;
        let follower = settling::Led::new(&owner.host);
        if let Some(leading) = owner.host.clock.lead(Arc::new(follower)) {
            owner.keep("the clock", leading);
        }
        if owner.host.config.worker {
            let working = owner.work().await;
            // A part that died meanwhile is why.
            let why = |error| owner.host.end.reason().unwrap_or(error);
            working.map_err(why)?;
        } else {
            owner.opened();
        }
        Ok((Self::of(&owner.host), owner))
    }

    /// Of an engine that has begun.
    pub(super) fn of(host: &Arc<Host>) -> Self {
        let running = host.running();
        let running = running.and_then(|running| running.downcast::<Running>().ok());
        Self {
            host: Arc::clone(host),
            running: running.map_or_else(Weak::new, |running| Arc::downgrade(&running)),
        }
    }

    /// Ends the wait of a shutdown for passes: what still executes is cut off.
    pub(super) fn cut_off(&self) {
        if let Some(running) = self.running.upgrade() {
            running.cut_off();
        }
    }

    /// Waits for the end, whoever asked for it; the reason when nobody did.
    pub(super) async fn ended(&self) -> Result<(), Error> {
        self.host.end.until_ended().await;
        self.host.end.reason().map_or(Ok(()), Err)
    }

    /// Begins the shutdown, unless it has begun, and waits for its end. The end is the engine's own, so it comes
    /// whatever becomes of the caller. A body or a step of this engine does not wait: the shutdown waits for it.
    pub(super) async fn shutdown(&self) {
        // Gone with the last owner, which has ended it.
        if let Some(running) = self.running.upgrade() {
            running.begin_shutdown();
        }
        if !self.is_asked_from_within() {
            self.host.end.until_ended().await;
        }
    }

    /// Whether a body or a step of this engine asks.
    pub(super) fn is_asked_from_within(&self) -> bool {
        Pass::current().is_some_and(|pass: Arc<Pass>| Arc::ptr_eq(&pass.host, &self.host))
    }

    #[cfg(feature = "testing")]
    pub(super) fn crash(&self) {
        if let Some(running) = self.running.upgrade() {
            running.crash();
        }
    }

    /// Waits for the commit threads to have died at a failpoint, then lets go of everything else.
    #[cfg(feature = "testing")]
    pub(super) async fn crashed(&self) {
        if let Some(running) = self.running.upgrade() {
            running.crashed().await;
        }
    }
}

impl Owner {
    fn opened(&self) {
        let host = &self.host;
        host.report.opened(&Opened {
            database: &host.database,
            worker: host.holdings.worker(),
            config: &host.config,
            workflows: &host.registry.names(),
        });
    }

    /// Tells other processes and hears them, and keeps their time, where the database carries that.
    fn listen(&self) -> Result<(), Error> {
        let host = &self.host;
        let listener = calls::listen(host)
            .map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))?;
        self.running.keep_listener(listener);
        self.keep("the teller of calls", calls::send(Arc::clone(host)));
        self.keep("the timekeeper", timekeeping::keep(Arc::clone(host)));
        self.keep("the lookout", lookout::keep(Arc::clone(host)));
        Ok(())
    }

    async fn work(&self) -> Result<(), Error> {
        // Before this worker is known to others: it may be refused.
        self.enter_workflows().await?;
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
        self.opened();
        watch.recover().await;
        let scheduler = Scheduler::new(Arc::clone(&self.host));
        let auditor = Auditor::new(Arc::clone(&self.host));
        self.keep("the watch over workers", watch.run());
        self.keep("the scheduler", scheduler.run());
        self.keep("the auditor", auditor.run());
        unserved::warn_queues(&self.host).await;
        self.keep("the reporter", reports::keep(Arc::clone(&self.host)));
        Ok(())
    }

    /// Claims the names of the served workflows for this application, and asks who owns the others
    /// that are linked.
    async fn enter_workflows(&self) -> Result<(), Error> {
        let host = &self.host;
        let names = host.registry.names();
        let served: Vec<_> = names
            .iter()
            .filter_map(|it| host.registry.get(it))
            .collect();
        applications::enter(host, &served).await?;
        let is_served = |it: &&Definition| host.registry.get(it.name).is_some();
        let others: Vec<_> = registered().filter(|it| !is_served(it)).collect();
        applications::look_at_others(host, &others).await
    }

    /// Runs a part of the engine, without which the engine stops.
    fn keep(&self, part: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.running.keep(self.host.spawn(part, work));
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.running.abandon();
    }
}

/// The commit threads over the host's store. Blocks.
fn open_committer(host: &Arc<Host>) -> StoreResult<(Committer, Vec<std::thread::JoinHandle<()>>)> {
    let mut limits = host.config.batch;
    // As all that a database may take its time for, it follows the lease: a try takes two fifths of one at most.
    limits.pause_max = limits.pause_max.min(host.config.lease / 2);
    Committer::open(
        &host.store,
        host.config.worker,
        limits,
        Arc::clone(&host.clock),
        Arc::clone(host) as _,
        Arc::clone(&host.failpoints),
        host.runtime(),
    )
}
