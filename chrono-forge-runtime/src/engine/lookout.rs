//! One look for all who wait in this process for runs: which of them have settled elsewhere, and
//! which may stand still.
//!
//! A process that waits for thousands of runs asks no more often than one that waits for a single
//! one. Whoever is to look at its run's row is woken; the row itself, with all its payloads, is
//! read by them alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::host::Host;
use super::parts;
use crate::record::{RunId, RunState, Unserved};
use crate::store::{AwaitedRow, StoreResult};
use crate::telemetry::TARGET;

/// Where other processes are heard, only what they could not tell is left to find: so much more
/// seldom.
const HEARD: u32 = 10;

/// That nobody serves a run whose result is awaited is told once so many looks have found it so.
const LOOKS_TO_WARN: u32 = 4;

/// Who has waited for long is looked at no more often than after one part in so many of that time,
/// up to [`GAP_MAX`].
const GAP_PART: u32 = 10;

/// See [`GAP_PART`].
const GAP_MAX: Duration = Duration::from_secs(10);

/// Due runs that nobody serves, by workflow and queue, of which so many are looked through.
const UNSERVED_MAX: u32 = 1_000;

/// What was found by the last look.
#[derive(Debug, Default)]
pub struct Lookout {
    /// What no live worker serves, and since when that was seen. A worker that was there once,
    /// however shortly, begins it anew: a deploy is no standstill.
    unserved: Mutex<Vec<(Unserved, Instant)>>,
}

impl Lookout {
    /// What nobody has served for so long.
    pub fn unserved_for(&self, span: Duration) -> Vec<Unserved> {
        let lasting = |(_, since): &&(Unserved, Instant)| since.elapsed() >= span;
        let unserved = self.lock();
        unserved
            .iter()
            .filter(lasting)
            .map(|(of, _)| of.clone())
            .collect()
    }

    fn note(&self, found: Vec<Unserved>) {
        let mut unserved = self.lock();
        let seen = Instant::now();
        let since = |of: &Unserved| {
            let mut known = unserved.iter().filter(|(known, _)| name(known) == name(of));
            known.next().map_or(seen, |(_, since)| *since)
        };
        *unserved = found
            .into_iter()
            .map(|of| (since(&of), of))
            .map(|(since, of)| (of, since))
            .collect();
    }

    fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Unserved, Instant)>> {
        self.unserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(of: &Unserved) -> (&str, &str) {
    (&of.workflow, &of.queue)
}

/// Looks while somebody waits, for as long as the engine lives.
pub async fn keep(host: Arc<Host>) {
    let every = host.config.poll_interval.min(host.config.heartbeat);
    loop {
        host.hub.until_awaited().await;
        let mut looks = Looks::default();
        loop {
            tokio::time::sleep(every).await;
            let awaited = host.hub.awaited();
            if awaited.is_empty() {
                break;
            }
            if let Err(error) = looks.look(&host, awaited.clone(), every).await {
                // What does not pass by itself is for who waits to know; of a database that is away
                // others tell.
                tracing::debug!(target: TARGET, %error, "nobody knows what has become of the runs that are awaited");
                let waiting = awaited.iter().filter(|_| !error.is_transient());
                waiting.for_each(|run| host.hub.look(*run));
            }
        }
        host.lookout.forget();
    }
}

/// What one who looks again and again remembers.
#[derive(Default)]
struct Looks {
    /// How many there were.
    count: u32,
    /// Whether there is a run that blocks others.
    is_blocked: bool,
    /// Since when each run is awaited, and when it was looked at last.
    runs: HashMap<RunId, (Instant, Option<Instant>)>,
    /// Workflows and queues that were told of.
    told: HashSet<(String, String)>,
}

impl Looks {
    async fn look(
        &mut self,
        host: &Arc<Host>,
        awaited: Vec<RunId>,
        every: Duration,
    ) -> StoreResult<()> {
        wake_at_obstacles(host, &awaited);
        let Some(now) = now(host) else { return Ok(()) };
        self.remember(&awaited);
        let unserved = host.read_for_user(move |store| store.unserved(now, UNSERVED_MAX));
        host.lookout
            .note(unserved.await?.into_iter().map(Unserved::from).collect());
        self.is_blocked = host.read_for_user(|store| store.any_blocked()).await?;
        let unserved = host.lookout.unserved_for(Duration::ZERO);
        self.told
            .retain(|told| unserved.iter().any(|of| name(of) == (&told.0, &told.1)));
        let hears = host.store.capabilities().hears;
        let is_time = !hears || self.count.is_multiple_of(HEARD);
        self.count = self.count.wrapping_add(1);
        if !is_time && unserved.is_empty() && !self.is_blocked {
            return Ok(());
        }
        let ids = awaited.clone();
        let rows = host.read_for_user(move |store| store.awaited(&ids)).await?;
        wake_settled(host, awaited, &rows);
        let idle: Vec<&AwaitedRow> = rows
            .iter()
            .filter(|row| row.state == RunState::Idle)
            .collect();
        self.warn(host, &idle, now, every);
        self.wake_doubtful(host, &idle, now);
        Ok(())
    }

    fn remember(&mut self, awaited: &[RunId]) {
        let seen = Instant::now();
        let awaited: HashSet<RunId> = awaited.iter().copied().collect();
        self.runs.retain(|run, _| awaited.contains(run));
        for run in awaited {
            self.runs.entry(run).or_insert((seen, None));
        }
    }

    /// One line for all who wait for runs of one workflow and queue.
    fn warn(&mut self, host: &Host, idle: &[&AwaitedRow], now: Timestamp, every: Duration) {
        for of in host.lookout.unserved_for(every * (LOOKS_TO_WARN - 1)) {
            let is_of_it =
                |row: &&&AwaitedRow| name(&of) == (&*row.workflow, &*row.queue) && is_due(row, now);
            let is_new = !self.told.contains(&(of.workflow.clone(), of.queue.clone()));
            if let Some(row) = idle.iter().find(is_of_it).filter(|_| is_new) {
                host.report.awaited_unserved(&row.key, &of);
                self.told.insert((of.workflow.clone(), of.queue.clone()));
            }
        }
    }

    /// Wakes who waits for a run that is due where nobody serves it, and of those whose run is
    /// parked, perhaps in vain, the one that was looked at longest ago: to find that out takes a
    /// walk.
    fn wake_doubtful(&mut self, host: &Host, idle: &[&AwaitedRow], now: Timestamp) {
        let lasting = host.lookout.unserved_for(host.config.lease);
        let is_unserved = |row: &AwaitedRow| {
            let row = (&*row.workflow, &*row.queue);
            lasting.iter().any(|of| name(of) == row)
        };
        let mut parked = Vec::new();
        for row in idle {
            match row.wake_at {
                None => parked.push(row.id),
                Some(_) if is_due(row, now) && is_unserved(row) => host.hub.look(row.id),
                Some(_) => {}
            }
        }
        if !self.is_blocked && lasting.is_empty() {
            return;
        }
        let seen = Instant::now();
        let is_time = |run: &&RunId| {
            let (since, looked) = self.runs.get(run).copied().unwrap_or((seen, None));
            let gap = (since.elapsed() / GAP_PART).min(GAP_MAX);
            looked.is_none_or(|looked| looked.elapsed() >= gap)
        };
        let looked = |run: &&RunId| self.runs.get(run).and_then(|(_, looked)| *looked);
        let next = parked.iter().filter(is_time).min_by_key(looked).copied();
        if let Some(next) = next {
            if let Some((_, looked)) = self.runs.get_mut(&next) {
                *looked = Some(seen);
            }
            host.hub.look(next);
        }
    }
}

/// Whoever waits for what this process cannot write until somebody has mended it is told.
fn wake_at_obstacles(host: &Host, awaited: &[RunId]) {
    let held_up = awaited.iter().filter(|run| host.obstacle(**run).is_some());
    held_up.for_each(|run| host.hub.look(*run));
}

/// Those that have settled elsewhere, or whose row is gone.
fn wake_settled(host: &Host, awaited: Vec<RunId>, rows: &[AwaitedRow]) {
    let unsettled = rows.iter().filter(|row| !row.state.is_settled());
    let unsettled: HashSet<RunId> = unsettled.map(|row| row.id).collect();
    let settled = awaited.into_iter().filter(|run| !unsettled.contains(run));
    settled.for_each(|run| host.hub.look(run));
}

fn is_due(row: &AwaitedRow, now: Timestamp) -> bool {
    row.wake_at.is_some_and(|at| at.is_due(now))
}

/// The time of workflows. A user's clock that panics stops the engine, wherever it is asked, and
/// not its caller.
pub fn now(host: &Host) -> Option<Timestamp> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let now = catch_unwind(AssertUnwindSafe(|| host.clock.now()));
    now.map_err(|panic| host.part_died("the clock", &parts::message(panic)))
        .ok()
}
