//! The watch: over this worker's own trust window, and over the leases of others.
//!
//! It never waits for the heartbeat, which may hang for as long as a connection does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Vitals;
use crate::clock::{after, until};
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
    pace: Pace,
}

/// What the clock that all share showed at an instant of this process's own.
#[derive(Clone, Copy, Debug)]
struct Pace {
    shown: Timestamp,
    at: Instant,
}

impl Pace {
    /// How far the clock is ahead of where it would be had it gone on by itself.
    fn leap(&self, later: &Self) -> Duration {
        let passed = later.at.saturating_duration_since(self.at);
        until(after(self.shown, passed), later.shown)
    }
}

impl Watch {
    pub(super) fn new(vitals: Arc<Vitals>) -> Self {
        let at = Instant::now();
        let shown = vitals.host.real_now();
        Self {
            vitals,
            trouble: Trouble::default(),
            next_look: at,
            pace: Pace { shown, at },
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
        let now = self.now();
        for other in &others {
            let freed = self
                .vitals
                .locks
                .as_ref()
                .is_some_and(|locks| locks.is_free(other.id));
            if freed || self.has_expired(other, now) {
                self.declare_dead(other.id, freed).await?;
            }
        }
        Ok(())
    }

    /// What the clock that all share shows. If it was set forward, every heartbeat looks old: all have a lease to renew
    /// theirs by the new time.
    fn now(&mut self) -> Timestamp {
        let host = &self.vitals.host;
        let pace = Pace {
            at: Instant::now(),
            shown: host.real_now(),
        };
        let leap = self.pace.leap(&pace);
        if leap > host.config.heartbeat / 2 {
            tracing::warn!(target: TARGET, ?leap, "the clock was set forward; no other worker is declared dead for a lease");
            self.vitals.forgive();
        }
        self.pace = pace;
        pace.shown
    }

    /// Whose own lease was not renewed lately cannot tell a dead worker from a database that was away.
    fn has_expired(&self, other: &WorkerRow, now: Timestamp) -> bool {
        let host = &self.vitals.host;
        let may_judge = !self.vitals.forgives() && host.since_renewal() <= self.vitals.outage_min();
        may_judge && after(other.heartbeat_at, host.config.lease) <= now
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
    }
}

fn probe_interval(host: &Host) -> Duration {
    PROBE_INTERVAL.min(host.config.heartbeat)
}

fn before(instant: Timestamp, span: Duration) -> Timestamp {
    instant.checked_sub(span).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_leaps_by_what_it_shows_beyond_the_time_that_passed() {
        let pace = Pace {
            shown: Timestamp::from_second(1_700_000_000).unwrap(),
            at: Instant::now(),
        };
        let second = Duration::from_secs(1);
        let later = |ahead: Duration| Pace {
            shown: after(pace.shown, second + ahead),
            at: pace.at + second,
        };
        assert_eq!(pace.leap(&later(Duration::ZERO)), Duration::ZERO);
        assert_eq!(pace.leap(&later(9 * second)), 9 * second);
        // Set back, nothing looks old.
        let back = Pace {
            shown: pace.shown,
            ..later(second)
        };
        assert_eq!(pace.leap(&back), Duration::ZERO);
    }
}
