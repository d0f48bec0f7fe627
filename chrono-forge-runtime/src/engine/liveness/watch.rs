//! The watch: over this worker's own trust window, and over the leases of others.
//!
//! It never waits for the heartbeat, which may hang for as long as a connection does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Vitals;
use crate::clock::after;
use crate::engine::host::Host;
use crate::record::WorkerId;
use crate::store::{Recovered, StoreResult, WorkerRow};
use crate::telemetry::{TARGET, Trouble};

/// How often the lock files of other workers are probed, and the own trust window is looked at.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// The pause after a recovery that failed. A dead worker's backend may still hold rows, for as long as the
/// database lets it; claims should not wait behind one try after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Watch {
    vitals: Arc<Vitals>,
    trouble: Trouble,
    next_look: Instant,
}

impl Watch {
    pub(super) fn new(vitals: Arc<Vitals>) -> Self {
        Self {
            vitals,
            trouble: Trouble::default(),
            next_look: Instant::now(),
        }
    }

    /// Recovers the runs of workers that are dead by now; at start-up, so that a restart after a
    /// kill goes on at once.
    pub async fn recover(&mut self) {
        match self.look_at_others().await {
            Ok(()) => {
                self.next_look = Instant::now() + self.interval();
                if let Some(outage) = self.trouble.over() {
                    tracing::info!(target: TARGET, ?outage, "other workers can be checked again");
                }
            }
            Err(error) => {
                self.next_look = Instant::now() + PAUSE;
                self.trouble
                    .tell(&error, "other workers could not be checked");
            }
        }
    }

    /// Watches until the worker leaves.
    pub async fn run(mut self) {
        let host = Arc::clone(&self.vitals.host);
        // Side by side: a look at others may hang for as long as a connection does, and just then the own
        // trust window is likely to end.
        tokio::join!(guard(&host), async {
            while !host.over.load(Ordering::Acquire) {
                tokio::time::sleep(probe_interval(&host)).await;
                if Instant::now() >= self.next_look && !host.closing.load(Ordering::Acquire) {
                    self.recover().await;
                }
            }
        });
    }

    /// A lock file tells of a death at once; a lease need not be looked at more often than it is renewed.
    fn interval(&self) -> Duration {
        match self.vitals.locks {
            Some(_) => Duration::ZERO,
            None => self.vitals.host.config.heartbeat / 2,
        }
    }

    async fn look_at_others(&mut self) -> StoreResult<()> {
        let host = &self.vitals.host;
        let me = host.worker();
        let workers = host.read(|store| store.live_workers()).await?;
        let others: Vec<_> = workers
            .into_iter()
            .filter(|worker| worker.id != me)
            .collect();
        host.calls.note_company(!others.is_empty());
        for other in &others {
            let freed = self
                .vitals
                .locks
                .as_ref()
                .is_some_and(|locks| locks.is_free(other.id));
            if freed || self.has_expired(other) {
                self.declare_dead(other.id, freed).await?;
            }
        }
        Ok(())
    }

    /// Whose own lease was not renewed lately cannot tell a dead worker from a database that was away.
    fn has_expired(&self, other: &WorkerRow) -> bool {
        let host = &self.vitals.host;
        let may_judge = !self.vitals.forgives() && host.since_renewal() <= self.vitals.outage_min();
        may_judge && after(other.heartbeat_at, host.config.lease) <= host.real_now()
    }

    async fn declare_dead(&self, worker: WorkerId, freed: bool) -> StoreResult<()> {
        let host = &self.vitals.host;
        let (lease, limits) = (host.config.lease, host.config.crashes);
        let clock = Arc::clone(host);
        let declare = move |writer: &mut dyn crate::store::Writer| {
            let not_after = (!freed).then(|| before(clock.real_now(), lease));
            writer.declare_dead(worker, not_after, limits, clock.clock.now())
        };
        let recovered = host.committer().call("declare_dead", declare).await?;
        if let Some(recovered) = recovered {
            self.tell(worker, recovered);
        }
        Ok(())
    }

    fn tell(&self, worker: WorkerId, recovered: Recovered) {
        tracing::warn!(target: TARGET, %worker, due = recovered.due, poisoned = recovered.poisoned, "a dead worker's runs were recovered");
        if let Some(locks) = &self.vitals.locks {
            locks.remove(worker);
        }
        let host = &self.vitals.host;
        if recovered.due > 0 {
            host.slots.be_cautious(host.config.lease);
        }
        host.announce_due();
    }
}

/// Looks after the own trust window.
async fn guard(host: &Host) {
    let mut trouble = Trouble::default();
    while !host.over.load(Ordering::Acquire) {
        tokio::time::sleep(probe_interval(host)).await;
        if !host.is_trusted() {
            // Whoever declares us dead may already be at work: drop every pass, start nothing.
            host.lose_all();
            if trouble.is_worth_telling() {
                tracing::warn!(target: TARGET, lease = ?host.config.lease, "the lease was not renewed in time; passes are dropped and none begins");
            }
        } else if let Some(outage) = trouble.over() {
            tracing::info!(target: TARGET, ?outage, "the lease is renewed again");
        }
        host.hub.sweep();
    }
}

fn probe_interval(host: &Host) -> Duration {
    PROBE_INTERVAL.min(host.config.heartbeat)
}

fn before(instant: Timestamp, span: Duration) -> Timestamp {
    instant.checked_sub(span).unwrap_or(Timestamp::MIN)
}
