//! Liveness: this worker's lease, and the recovery of workers that lost theirs.
//!
//! ```text
//!              heartbeat every h                  declared dead by another worker
//!   registered ─────────────────> alive ──────────────────────────────────────────> stopped
//!       ^                           │ no renewal for 2/3 lease                         │
//!       │                           v                                                  │
//!       └──── registers anew ── untrusted: starts no effect, drops its passes <────────┘
//! ```
//!
//! Trust window: `trusted_until = last_renewal + 2/3 lease`. Others declare a worker dead once
//! `last_heartbeat <= now - lease`, or at once when its lock file is free. A worker that is stopped
//! and continued finds its trust gone before it starts anything, and whatever it still sends is
//! turned away by the fence of each run.
//!
//! All of this follows real time, never the workflow clock: it is about processes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::host::Host;
use crate::clock::after;
use crate::record::WorkerId;
use crate::store::{StoreResult, WorkerLocks};
use crate::telemetry::TARGET;

/// How often the lock files of other workers are probed.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// Keeps one worker alive and watches the others.
pub struct Liveness {
    host: Arc<Host>,
    locks: Option<Box<dyn WorkerLocks>>,
    /// After an outage of its own a worker gives the others time to come back, too.
    forgive_until: Option<Instant>,
}

impl Liveness {
    /// Registers this worker and takes its lock.
    pub async fn register(host: Arc<Host>) -> StoreResult<Self> {
        let locks = host.store.worker_locks();
        let mut liveness = Self {
            host,
            locks,
            forgive_until: None,
        };
        liveness.enter().await?;
        Ok(liveness)
    }

    async fn enter(&mut self) -> StoreResult<()> {
        self.host.keep_lock(None);
        let name = self.host.config.worker_name.clone();
        let worker = self
            .host
            .committer()
            .call("register", move |writer| {
                writer.register_worker(&name, &host_name(), std::process::id(), Timestamp::now())
            })
            .await?;
        if let Some(locks) = &self.locks {
            self.host.keep_lock(Some(locks.hold(worker)?));
        }
        self.host.set_worker(worker);
        Ok(())
    }

    /// Recovers the runs of workers that are dead by now; at start-up, so that a restart after a
    /// kill goes on at once.
    pub async fn recover(&mut self) {
        if let Err(error) = self.look_at_others().await {
            tracing::warn!(target: TARGET, %error, "other workers could not be checked");
        }
    }

    /// Runs until the host closes.
    pub async fn run(mut self) {
        let mut next_beat = Instant::now() + self.host.config.heartbeat;
        while !self.host.closing.load(Ordering::Acquire) {
            let probe = Instant::now() + PROBE_INTERVAL.min(self.host.config.heartbeat);
            tokio::time::sleep_until(probe.min(next_beat).into()).await;
            if Instant::now() >= next_beat {
                next_beat = Instant::now() + self.host.config.heartbeat;
                self.beat().await;
            }
            if !self.host.is_trusted() {
                // Whoever declares us dead may already be at work: drop every pass, start nothing.
                self.host.lose_all();
            }
            self.recover().await;
            self.host.hub.sweep();
        }
    }

    async fn beat(&mut self) {
        let host = Arc::clone(&self.host);
        let worker = host.worker();
        let beat = self
            .host
            .committer()
            .call("heartbeat", move |writer| {
                // Read on the commit thread: what it holds and what memory knows then agree.
                let beat = writer.heartbeat(worker, &host.held_runs(), Timestamp::now())?;
                host.lose(&beat.lost);
                Ok(beat)
            })
            .await;
        let outage = self.host.since_renewal();
        match beat {
            Ok(beat) if beat.worker_dead => {
                tracing::warn!(target: TARGET, %worker, "this worker was declared dead; its passes are dropped");
                self.host.lose_all();
                if let Err(error) = self.enter().await {
                    tracing::warn!(target: TARGET, %error, "registering anew failed");
                }
            }
            Ok(beat) => {
                if outage > self.host.config.lease / 2 {
                    self.forgive_until = Some(Instant::now() + self.host.config.lease);
                }
                self.host.renewed();
                for pass in self.host.passes(&beat.woken) {
                    pass.wake();
                }
                if beat.orphans_released > 0 {
                    self.host.work.notify_one();
                }
            }
            Err(error) => tracing::warn!(target: TARGET, %error, "a heartbeat failed"),
        }
    }

    async fn look_at_others(&mut self) -> StoreResult<()> {
        let me = self.host.worker();
        let workers = self.host.read(|store| store.live_workers()).await?;
        let others: Vec<_> = workers
            .into_iter()
            .filter(|worker| worker.id != me)
            .collect();
        for other in &others {
            let freed = self
                .locks
                .as_ref()
                .is_some_and(|locks| locks.is_free(other.id));
            let expires = after(other.heartbeat_at, self.host.config.lease);
            let expired = expires <= Timestamp::now() && !self.forgives();
            if freed || expired {
                self.declare_dead(other.id, freed).await?;
            }
        }
        Ok(())
    }

    fn forgives(&self) -> bool {
        self.forgive_until
            .is_some_and(|until| Instant::now() < until)
    }

    async fn declare_dead(&self, worker: WorkerId, freed: bool) -> StoreResult<()> {
        let lease = self.host.config.lease;
        let limits = self.host.config.crashes;
        let clock = Arc::clone(&self.host.clock);
        let recovered = self
            .host
            .committer()
            .call("declare_dead", move |writer| {
                let not_after = (!freed).then(|| before(Timestamp::now(), lease));
                writer.declare_dead(worker, not_after, limits, clock.now())
            })
            .await?;
        let Some(recovered) = recovered else {
            return Ok(());
        };
        tracing::warn!(target: TARGET, %worker, due = recovered.due, poisoned = recovered.poisoned, "a dead worker's runs were recovered");
        if let Some(locks) = &self.locks {
            locks.remove(worker);
        }
        if recovered.due > 0 {
            self.host.slots.be_cautious(lease);
        }
        self.host.work.notify_one();
        Ok(())
    }
}

fn before(instant: Timestamp, span: Duration) -> Timestamp {
    instant.checked_sub(span).unwrap_or(Timestamp::MIN)
}

fn host_name() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "unknown".to_owned())
}
