//! Liveness: this worker's lease, and the recovery of workers that lost theirs.
//!
//! ```text
//!              heartbeat every h                  declared dead by another worker
//!   registered ─────────────────> alive ──────────────────────────────────────────> stopped
//!       ^                           │ no renewal for 2/3 lease                         │
//!       │                           v                                                  │
//!       │          in doubt: begins nothing new, what executes goes on ──> alive       │
//!       │                           │                              renewed after all   │
//!       │                           v                                                  │
//!       └── registers anew <── learns at its next heartbeat that it was stopped, or ───┘
//!                              that a run was taken from it: only then is a pass cut off
//! ```
//!
//! The lease says who is alive, and only that: it is renewed by a thread of the engine's own ([`pulse`]), whatever the
//! runtime is kept from, and that is told apart ([`runtime`]).
//!
//! **Doubt.** `trusted while moment() - asked < 2/3 lease`, where `asked` is the moment at which the last renewal that
//! succeeded was asked for, not the one at which its answer came. Moments are on a clock that nobody sets and that
//! counts suspend ([`crate::clock::Moment`]). In doubt a worker begins nothing: no attempt, no dispatch, no claim, no
//! direct start. What executes goes on, and what has ended is submitted: the fence of each run decides about it. A
//! pass is cut off once the database has said that its run was taken, by a heartbeat or by the verdict on a plan.
//!
//! What this promises: between the last attempt that a worker in doubt may have *begun* and the first that somebody else
//! begins for the same run there is a third of a lease, and nothing is recorded twice. What it does not: an attempt that
//! was begun before goes on until the worker has heard of its death, so after a real take-over it may overlap with the
//! other worker's attempt at the same step. Effects happen at least once.
//!
//! **Judging others** ([`watch`]). Silence is a heartbeat that stays the same for a lease, the judged worker's own as its
//! row has it, on the monotonic clock of who watches, whatever instant is written there; the transaction that declares
//! dead does it only to a heartbeat that is still the one that was watched. Where lock files prove something, a free lock
//! is a death at once, and a lock that a live process holds is a life. At its first look a worker has watched nothing:
//! there, and only there, it believes an instant that is older than the lease, if the database's clock and the host's
//! agree, so that a restart recovers at once what a dead process has left.
//!
//! What can go wrong, and what then:
//!
//! - A heartbeat fails or is slow: it is tried again soon; past the window nothing new begins.
//! - The process is stopped and goes on: the first look at the trust window comes before each effect; what it still
//!   sends is fenced if somebody took its runs, and counts if nobody did.
//! - The database was away, or locked, for all: silence counts only while this worker looked at it and could renew its
//!   own lease; afterwards everybody has a lease to come back.
//! - A clock is set: no instant is compared with another one.
//! - Declared dead by mistake: the worker comes back and says so, and its end is no crash of what it held.
//! - A claim's reply was lost: its runs are orphans; see [`super::holdings`].
//!
//! **Suspects.** A run that was held by `quarantine_from` workers when they died executes only beside half of those that
//! are left; each death in quarantine halves the company that it may be in, and before the last it is alone. Such a run
//! is noted in the worker's row before it begins: a death counts against it only if it had. So a killer among n suspects
//! is found after about log2(n) deaths, and nobody is failed who did not execute. The notes cost a transaction for each
//! pass of a suspect and nothing for others. A run that loses its pass again and again with nobody dying is told by name
//! and goes into quarantine, too, but is not failed for it.
//!
//! All of this follows real time, never the workflow clock: it is about processes.

pub mod pulse;
pub mod runtime;
pub mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;

use super::host::Host;
use crate::clock::after;
use crate::error::Error;
use crate::record::WorkerId;
use crate::store::{Store, StoreResult, WorkerLocks, WorkerRow};
use pulse::Pulse;
use watch::Watch;

/// Workers that are not known to be dead: not stopped, and not silent for longer than their own lease as far as one
/// look can tell; whose lock is held lives, whose lock is free does not. Blocks.
pub fn alive(store: &dyn Store) -> StoreResult<Vec<WorkerId>> {
    let locks = store.worker_locks();
    let now = store.database_now()?.unwrap_or_else(Timestamp::now);
    let is_alive = |worker: &WorkerRow| match &locks {
        Some(locks) if locks.is_held(worker.id) => true,
        Some(locks) if locks.is_free(worker.id) => false,
        _ => !has_expired(worker, now),
    };
    let workers = store.live_workers()?.into_iter().filter(is_alive);
    Ok(workers.map(|worker| worker.id).collect())
}

/// Workers that are silent for longer than their own lease, as far as one look can tell, and whose lock nobody holds.
/// Blocks.
pub fn silent(store: &dyn Store) -> StoreResult<Vec<WorkerRow>> {
    let locks = store.worker_locks();
    let now = store.database_now()?.unwrap_or_else(Timestamp::now);
    let is_silent = |worker: &WorkerRow| {
        let is_held = locks.as_ref().is_some_and(|locks| locks.is_held(worker.id));
        !is_held && has_expired(worker, now)
    };
    Ok(store
        .live_workers()?
        .into_iter()
        .filter(is_silent)
        .collect())
}

fn has_expired(worker: &WorkerRow, now: Timestamp) -> bool {
    after(worker.heartbeat_at, worker.lease) <= now
}

/// What keeping alive and watching others share.
struct Vitals {
    host: Arc<Host>,
    locks: Option<Box<dyn WorkerLocks>>,
    /// How often this worker could not renew its lease for a while: the others, then, could not either.
    outages: AtomicU64,
}

impl Vitals {
    /// A lease that was not renewed for longer than this tells of an outage.
    fn outage_min(&self) -> Duration {
        self.host.config.heartbeat.saturating_mul(3) / 2
    }
}

/// Registers this worker and takes its lock.
pub async fn begin(host: Arc<Host>) -> Result<(Pulse, Watch), Error> {
    let locks = host.store.worker_locks();
    let vitals = Arc::new(Vitals {
        host,
        locks,
        outages: AtomicU64::new(0),
    });
    let mut pulse = Pulse::new(Arc::clone(&vitals));
    let entered = tokio::task::spawn_blocking(move || pulse.begin().map(|()| pulse));
    let pulse = entered.await.map_err(|_| Error::Closed)??;
    Ok((pulse, Watch::new(vitals)))
}
