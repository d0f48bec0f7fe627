//! The watch: over this worker's own trust window, and over the leases of others.
//!
//! It never waits for the heartbeat, which may hang for as long as a connection does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Vitals;
use crate::clock::until;
use crate::engine::host::Host;
use crate::record::{RunId, WorkerId};
use crate::store::{Recovered, StoreErrorKind, StoreResult, WorkerRow};
use crate::telemetry::{TARGET, Trouble};

/// How often the lock files of other workers are probed, and how often this worker looks whether a
/// lease in doubt was renewed.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// How often a worker that is alone looks whether it still is: an idle process should sleep.
const ALONE_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The pause after a recovery that failed. A dead worker's backend may still hold rows, for as long as the
/// database lets it; claims should not wait behind one try after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// Poisoned runs of one dead worker that are named; each of them was alone with it, as a rule.
const POISONED_MAX: usize = 20;

/// See the module.
pub struct Watch {
    vitals: Arc<Vitals>,
    trouble: Trouble,
    next_look: Instant,
    sightings: Sightings,
    /// Workers that are silent and whose lock is held, so that each is told of once.
    hanging: HashSet<WorkerId>,
}

/// What was written of others, and since when it has not changed.
#[derive(Debug, Default)]
struct Sightings {
    /// When the last look that succeeded was over.
    looked: Option<Instant>,
    outages: u64,
    of: HashMap<WorkerId, (Timestamp, Instant)>,
}

impl Sightings {
    /// Begins a look that was asked for at this instant. Silence counts only while we looked at it: after a pause in
    /// which the database was away, or this process stood still, everybody has a lease to come back.
    fn begin(&mut self, asked: Instant, pause_max: Duration, outages: u64) {
        let is_whole = self
            .looked
            .is_none_or(|looked| asked.saturating_duration_since(looked) <= pause_max);
        if !is_whole || self.outages != outages {
            self.of.clear();
        }
        self.outages = outages;
    }

    /// For how long this worker's heartbeat is known to be the same at this instant.
    fn silence(&mut self, worker: &WorkerRow, (asked, answered): (Instant, Instant)) -> Duration {
        let (beat, since) = self
            .of
            .entry(worker.id)
            .or_insert((worker.heartbeat_at, answered));
        if *beat != worker.heartbeat_at {
            (*beat, *since) = (worker.heartbeat_at, answered);
        }
        asked.saturating_duration_since(*since)
    }

    fn end(&mut self, others: &[WorkerRow], answered: Instant) {
        self.looked = Some(answered);
        let is_there = |id: &WorkerId| others.iter().any(|other| other.id == *id);
        self.of.retain(|id, _| is_there(id));
    }
}

impl Watch {
    pub(super) fn new(vitals: Arc<Vitals>) -> Self {
        Self {
            vitals,
            trouble: Trouble::default(),
            next_look: Instant::now(),
            sightings: Sightings::default(),
            hanging: HashSet::new(),
        }
    }

    /// Recovers the runs of workers that are dead by now; at start-up, so that a restart after a
    /// kill goes on at once.
    pub async fn recover(&mut self) {
        match self.look_at_others().await {
            Ok(()) => {
                self.next_look = Instant::now() + self.interval();
                self.trouble.end("other workers can be checked again");
            }
            Err(error) => {
                self.next_look = Instant::now() + PAUSE;
                // One that is over has told why, if there is anything to tell.
                if error.kind != StoreErrorKind::Closed {
                    self.trouble
                        .tell(&error, "other workers could not be checked");
                }
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
                let left = self.next_look.saturating_duration_since(Instant::now());
                tokio::time::sleep(left.max(PAUSE_MIN)).await;
                if !host.closing.load(Ordering::Acquire) {
                    self.recover().await;
                }
            }
        });
    }

    /// A lock file tells of a death at once; a lease need not be looked at more often than it is renewed.
    fn interval(&self) -> Duration {
        let host = &self.vitals.host;
        match self.vitals.locks {
            None => host.config.heartbeat / 2,
            Some(_) if self.sightings.of.is_empty() => ALONE_INTERVAL.min(host.config.heartbeat),
            Some(_) => probe_interval(host),
        }
    }

    async fn look_at_others(&mut self) -> StoreResult<()> {
        let host = Arc::clone(&self.vitals.host);
        let me = host.worker();
        let asked = Instant::now();
        let workers = host.read(|store| store.live_workers()).await?;
        let answered = Instant::now();
        let others: Vec<_> = workers
            .into_iter()
            .filter(|worker| worker.id != me)
            .collect();
        host.calls.note_company(!others.is_empty());
        let is_first = self.sightings.looked.is_none();
        let outages = self.vitals.outages.load(Ordering::Acquire);
        self.sightings.begin(asked, self.pause_max(), outages);
        let mut recovered = Ok(());
        for other in &others {
            let silence = self.sightings.silence(other, (asked, answered));
            let is_silent = match is_first {
                true => self.was_silent_before(other),
                false => self.is_silent(other, silence),
            };
            let watched = match self.has_freed(other.id) {
                true => None,
                false if is_silent && !self.hangs(other) => Some(other.heartbeat_at),
                false => continue,
            };
            match self.declare_dead(other.id, watched).await {
                Ok(()) => {}
                // Somebody keeps a row of this one's locked, which is no reason to leave the
                // others.
                Err(error) if error.is_locked() => recovered = recovered.and(Err(error)),
                Err(error) => {
                    recovered = Err(error);
                    break;
                }
            }
        }
        self.sightings.end(&others, answered);
        let is_there = |id: &WorkerId| others.iter().any(|other| other.id == *id);
        self.hanging.retain(is_there);
        recovered
    }

    /// A pause between two looks that is longer hides what happened in between.
    fn pause_max(&self) -> Duration {
        self.interval().saturating_mul(2) + PAUSE
    }

    fn has_freed(&self, worker: WorkerId) -> bool {
        let locks = self.vitals.locks.as_ref();
        locks.is_some_and(|locks| locks.is_free(worker))
    }

    /// Whether a worker that is silent is known to live: a live process holds its lock.
    fn hangs(&mut self, worker: &WorkerRow) -> bool {
        let locks = self.vitals.locks.as_ref();
        let hangs = locks.is_some_and(|locks| locks.is_held(worker.id));
        if hangs && self.hanging.insert(worker.id) {
            let (worker, lease) = (worker.id, worker.lease);
            tracing::warn!(target: TARGET, %worker, ?lease, "a worker is silent for longer than its lease, and its process lives: what it holds stays with it; if it hangs, end that process");
        }
        hangs
    }

    /// At the first look nothing was watched yet. So that a restart recovers at once what a dead process has left, the
    /// instants are believed there, if two clocks agree about them.
    fn was_silent_before(&self, other: &WorkerRow) -> bool {
        let now = self.vitals.host.real_now();
        let here = Timestamp::now();
        let apart = until(now, here).max(until(here, now));
        apart < other.lease / 2 && super::has_expired(other, now)
    }

    /// Whose own lease was not renewed in the later half of such a silence cannot tell a dead worker from a database
    /// that nobody could write to.
    fn is_silent(&self, other: &WorkerRow, silence: Duration) -> bool {
        let renewed = self.vitals.host.since_renewal();
        silence >= other.lease && renewed <= self.vitals.outage_min() && renewed <= silence / 2
    }

    async fn declare_dead(&self, worker: WorkerId, watched: Option<Timestamp>) -> StoreResult<()> {
        let host = &self.vitals.host;
        // Who it was, while its row still stands among the living; nobody depends on that.
        let serving = host.read(|store| store.serving()).await;
        let mut who = serving.unwrap_or_default().into_iter();
        let who = who.find(|who| who.id == worker);
        let limits = host.config.crashes;
        let clock = Arc::clone(host);
        let declare = move |writer: &mut dyn crate::store::Writer| {
            writer.declare_dead(worker, watched, limits, clock.clock.now())
        };
        let recovered = host.committer().call("declare_dead", declare).await?;
        if let Some(recovered) = recovered {
            host.report.recovered(worker, who.as_ref(), &recovered);
            self.went(worker, &recovered);
            self.tell_poisoned(recovered.poisoned).await;
        }
        Ok(())
    }

    /// Names the runs that were failed as poison.
    async fn tell_poisoned(&self, runs: Vec<RunId>) {
        let host = &self.vitals.host;
        for run in runs.into_iter().take(POISONED_MAX) {
            match host.read(move |store| store.run(run)).await {
                Ok(row) => row.iter().for_each(|row| host.report.poisoned(row)),
                Err(error) => host.tell_read(&error, run),
            }
        }
    }

    fn went(&self, worker: WorkerId, recovered: &Recovered) {
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
        // The window may begin anew meanwhile, and never ends earlier.
        let window = host.trust_left().unwrap_or_default();
        tokio::time::sleep(window.max(probe_interval(host))).await;
        if !host.is_trusted() {
            if trouble.is_worth_telling() {
                tracing::warn!(target: TARGET, lease = ?host.config.lease, "the lease was not renewed in time; what executes goes on, and nothing new begins before it is: see that the database takes writes, or set a longer `.lease(..)`");
            }
        } else {
            trouble.end("the lease is renewed again");
        }
    }
}

fn probe_interval(host: &Host) -> Duration {
    PROBE_INTERVAL.min(host.config.heartbeat)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn row(beat: i64) -> WorkerRow {
        WorkerRow {
            id: WorkerId(7, crate::record::Incarnation(7)),
            heartbeat_at: Timestamp::from_second(beat).unwrap(),
            lease: 10 * SECOND,
        }
    }

    /// One look after so many seconds, of a heartbeat that says this.
    fn look(sightings: &mut Sightings, begun: Instant, seconds: u32, beat: i64) -> Duration {
        let at = begun + seconds * SECOND;
        sightings.begin(at, 3 * SECOND, 0);
        let silence = sightings.silence(&row(beat), (at, at));
        sightings.end(&[row(beat)], at);
        silence
    }

    #[test]
    fn silence_is_a_heartbeat_that_does_not_change_whatever_instant_it_says() {
        let (mut sightings, begun) = (Sightings::default(), Instant::now());
        // An hour ahead, or long ago: it is the same all the time.
        for beat in [2_000_000_000, 0] {
            sightings.of.clear();
            assert_eq!(look(&mut sightings, begun, 0, beat), Duration::ZERO);
            for seconds in 1..=10 {
                let silence = look(&mut sightings, begun, seconds, beat);
                assert_eq!(silence, seconds * SECOND);
            }
            sightings.looked = None;
        }
    }

    #[test]
    fn a_heartbeat_that_changes_is_one_also_backwards() {
        let (mut sightings, begun) = (Sightings::default(), Instant::now());
        for seconds in 0..20 {
            let beat = 1_000 - i64::from(seconds / 2);
            let silence = look(&mut sightings, begun, seconds, beat);
            assert!(silence <= SECOND, "{silence:?}");
        }
    }

    #[test]
    fn who_did_not_look_heard_no_silence() {
        let (mut sightings, begun) = (Sightings::default(), Instant::now());
        look(&mut sightings, begun, 0, 1);
        assert_eq!(look(&mut sightings, begun, 2, 1), 2 * SECOND);
        assert_eq!(look(&mut sightings, begun, 30, 1), Duration::ZERO);
        assert_eq!(look(&mut sightings, begun, 32, 1), 2 * SECOND);
        // An outage of our own is one of the database's, perhaps.
        let at = begun + 33 * SECOND;
        sightings.begin(at, 3 * SECOND, 1);
        assert_eq!(sightings.silence(&row(1), (at, at)), Duration::ZERO);
    }
}
