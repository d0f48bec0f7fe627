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
//! - The database is set back to an older copy: a worker whose row is gone, or has another incarnation, drops what
//!   it holds and registers anew; what it still sends is turned away, since the lock of each claim has a random half.
//! - A claim's reply was lost: its runs are orphans; see [`super::holdings`].
//!
//! All of this follows real time, never the workflow clock: it is about processes.

pub mod pulse;
pub mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::host::Host;
use crate::clock::after;
use crate::error::Error;
use crate::record::WorkerId;
use crate::store::{Store, StoreResult, WorkerLocks, WorkerRow};
use pulse::Pulse;
use watch::Watch;

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
    let mut pulse = Pulse::new(Arc::clone(&vitals));
    let entered = tokio::task::spawn_blocking(move || pulse.begin().map(|()| pulse));
    let pulse = entered.await.map_err(|_| Error::RuntimeGone)??;
    Ok((pulse, Watch::new(vitals)))
}
