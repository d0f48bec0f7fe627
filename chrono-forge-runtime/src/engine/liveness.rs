//! Liveness: this worker's lease, and the recovery of workers that lost theirs.
//!
//! ```text
//!              heartbeat every h                  declared dead by another worker
//!   registered ─────────────────> alive ──────────────────────────────────────────> stopped
//!       ^                           │ no renewal for 2/3 lease                         │
//!       │                           v                                                  │
//!       │          untrusted: starts no effect, drops its passes ──> alive             │
//!       │                           │                        renewed after all         │
//!       │                           v                                                  │
//!       └──── registers anew ── learns at its next heartbeat that it was stopped <─────┘
//! ```
//!
//! Trust window: `trusted while moment() - asked < 2/3 lease`, where `asked` is the moment at which the last
//! renewal that succeeded was asked for, not the one at which its answer came: the database may have counted
//! from then on. Moments are on a clock that counts suspend ([`crate::clock::Moment`]). Others declare a worker
//! dead once `heartbeat_at <= now - lease` on the clock that all share (the database's, where it has one),
//! checked again in the transaction that does it, or at once when its lock file is free. So between the last
//! effect that an untrusted worker may have begun and the first that somebody else begins for the same run
//! there is a third of a lease, and whatever the old one still sends is turned away by the fence of each run.
//!
//! What can go wrong, and what then:
//!
//! - A heartbeat fails or is slow: it is tried again soon; past the window every pass is dropped.
//! - The process is stopped and goes on: the first look at the trust window comes before the next poll of a
//!   body and before each effect.
//! - The database was away for all: nobody judges others before its own lease is renewed, and then gives them
//!   a lease to come back ([`watch`]).
//! - The clock that all share is set forward: every heartbeat looks old, so all have a lease to renew theirs.
//! - A claim's reply was lost: its runs are orphans; see [`super::holdings`].
//!
//! All of this follows real time, never the workflow clock: it is about processes.

pub mod watch;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::host::Host;
use crate::clock::{Moment, after};
use crate::error::Error;
use crate::record::{Epoch, RunId, WorkerId};
use crate::store::{
    Heartbeat, Store, StoreError, StoreErrorKind, StoreResult, WorkerEntry, WorkerLocks, WorkerRow,
};
use crate::telemetry::{TARGET, Trouble};
use watch::Watch;

/// A heartbeat that failed is tried again after this part of the interval.
const RETRY_PART: u32 = 5;

/// Workers that are not known to be dead: not stopped, not silent for longer than the lease, their lock not
/// free. Blocks.
pub fn alive(store: &dyn Store, lease: Duration) -> StoreResult<Vec<WorkerId>> {
    let locks = store.worker_locks();
    let now = store.database_now()?.unwrap_or_else(Timestamp::now);
    let is_alive = |worker: &WorkerRow| {
        let freed = locks.as_ref().is_some_and(|locks| locks.is_free(worker.id));
        !freed && after(worker.heartbeat_at, lease) > now
    };
    let workers = store.live_workers()?.into_iter().filter(is_alive);
    Ok(workers.map(|worker| worker.id).collect())
}

/// What keeping alive and watching others share.
struct Vitals {
    host: Arc<Host>,
    locks: Option<Box<dyn WorkerLocks>>,
    /// After an outage of its own a worker gives the others time to come back, too.
    forgive_until: Mutex<Option<Instant>>,
}

impl Vitals {
    /// A lease that was not renewed for longer than this tells of an outage: half of it, unless heartbeats are
    /// hardly more frequent than that anyhow.
    fn outage_min(&self) -> Duration {
        let config = &self.host.config;
        (config.lease / 2).max(config.heartbeat * 3 / 2)
    }

    fn forgive(&self) {
        let until = Instant::now() + self.host.config.lease;
        *self
            .forgive_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    fn forgives(&self) -> bool {
        let until = *self
            .forgive_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}

/// Registers this worker and takes its lock.
pub async fn begin(host: Arc<Host>) -> Result<(Pulse, Watch), Error> {
    let locks = host.store.worker_locks();
    let vitals = Arc::new(Vitals {
        host,
        locks,
        forgive_until: Mutex::default(),
    });
    let pulse = Pulse {
        vitals: Arc::clone(&vitals),
        trouble: Trouble::default(),
    };
    pulse.enter().await?;
    Ok((pulse, Watch::new(vitals)))
}

/// Keeps one worker alive.
pub struct Pulse {
    vitals: Arc<Vitals>,
    trouble: Trouble,
}

impl Pulse {
    fn host(&self) -> &Arc<Host> {
        &self.vitals.host
    }

    async fn enter(&self) -> Result<(), Error> {
        let host = self.host();
        host.keep_lock(None);
        let config = &host.config;
        let name = config.worker_name.clone();
        let workflows = host.registry.names();
        let queues: Vec<String> = config.queues.iter().map(|(name, _)| name.clone()).collect();
        let clock = Arc::clone(host);
        let register = move |writer: &mut dyn crate::store::Writer| {
            let entry = WorkerEntry {
                name: &name,
                host: &host_name(),
                pid: std::process::id(),
                workflows: &workflows,
                queues: &queues,
            };
            if clock.is_over() {
                let error = "the engine was shut down";
                return Err(StoreError::new("register", StoreErrorKind::Closed, error));
            }
            let asked = Moment::now();
            let worker = writer.register_worker(&entry, clock.real_now())?;
            clock.note_registered(worker);
            Ok((worker, asked))
        };
        let (worker, asked) = host.committer().call_alive("register", register).await?;
        // After the row is there: an import notes itself and then looks for workers, so one of the two
        // sees the other.
        let unfinished = host.read(|store| store.unfinished_import()).await?;
        if let Some(started_at) = unfinished {
            let clock = Arc::clone(host);
            let retire = move |writer: &mut dyn crate::store::Writer| {
                writer.retire_worker(worker, clock.real_now())
            };
            host.committer().call_alive("retire", retire).await?;
            return Err(Error::ImportUnfinished { started_at });
        }
        if let Some(locks) = &self.vitals.locks {
            host.keep_lock(Some(locks.hold(worker)?));
        }
        host.enter(worker, asked);
        Ok(())
    }

    /// Beats until the worker leaves.
    pub async fn run(mut self) {
        let interval = self.host().config.heartbeat;
        let mut next = Instant::now() + interval;
        loop {
            tokio::time::sleep_until(next.into()).await;
            if self.host().over.load(Ordering::Acquire) {
                return;
            }
            next = Instant::now() + interval;
            match self.beat().await {
                Ok(()) => {
                    if let Some(outage) = self.trouble.over() {
                        tracing::info!(target: TARGET, ?outage, "the heartbeat succeeds again");
                    }
                }
                Err(error) => {
                    next = Instant::now() + interval / RETRY_PART;
                    if self.trouble.is_worth_telling() {
                        tracing::warn!(target: TARGET, %error, "a heartbeat failed");
                    }
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<(), Error> {
        let Some(worker) = self.host().holdings.worker() else {
            return self.enter_again().await;
        };
        let host = Arc::clone(self.host());
        let renew = move |writer: &mut dyn crate::store::Writer| {
            let asked = Moment::now();
            let held = host.holdings.runs();
            let beat = writer.heartbeat(worker, &held, host.real_now())?;
            Ok((beat, asked))
        };
        let renewed = self.host().committer().call_alive("heartbeat", renew).await;
        let (beat, asked) = renewed?;
        if beat.worker_dead {
            return self.died(worker).await;
        }
        if self.host().since_renewal() > self.vitals.outage_min() {
            self.vitals.forgive();
        }
        self.host().renewed(asked);
        self.compared(worker, &beat);
        Ok(())
    }

    /// Somebody declared this worker dead; a new one takes its place.
    async fn died(&self, worker: WorkerId) -> Result<(), Error> {
        self.host().leave();
        tracing::warn!(target: TARGET, %worker, "this worker was declared dead; its passes are dropped");
        self.enter_again().await
    }

    async fn enter_again(&self) -> Result<(), Error> {
        if self.host().closing.load(Ordering::Acquire) {
            // It was about to leave anyhow.
            return Ok(());
        }
        self.enter().await
    }

    /// What the database knows and memory does not, and the other way round.
    fn compared(&self, worker: WorkerId, beat: &Heartbeat) {
        let host = self.host();
        host.holdings.lose(&beat.lost);
        for pass in host.holdings.passes(&beat.woken) {
            pass.wake();
        }
        let orphans = host.holdings.disown(&beat.orphans);
        if !orphans.is_empty() {
            self.release(worker, orphans);
        }
    }

    /// Not through the heartbeat's own thread: it may wait for whoever holds these rows.
    fn release(&self, worker: WorkerId, orphans: Vec<(RunId, Epoch)>) {
        let host = Arc::clone(self.host());
        let release = move |writer: &mut dyn crate::store::Writer| {
            let released = writer.release_orphans(worker, &orphans, host.clock.now())?;
            if released > 0 {
                tracing::debug!(target: TARGET, released, "runs that nobody here knew of were handed back");
                host.announce_due();
            }
            Ok(())
        };
        // The next heartbeat finds them again if this fails, and need not wait if it is slow.
        let teller = Arc::clone(self.host());
        self.host().spawn("the release of orphans", async move {
            if let Err(error) = teller.committer().call("release_orphans", release).await {
                tracing::debug!(target: TARGET, %error, "orphans were not handed back yet");
            }
        });
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "unknown".to_owned())
}
