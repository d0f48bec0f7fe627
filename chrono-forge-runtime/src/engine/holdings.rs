//! What this worker holds, as memory knows it, beside what the database says.
//!
//! Claims, starts and dispatches come back on threads of their own, so a heartbeat may compare the database
//! with a memory that does not know yet of a claim that has just been committed. Such a run looks like an
//! orphan (one whose claim's reply was lost), and is none. Two rules keep the difference:
//!
//! 1. **Two beats.** A run is suspected at the first heartbeat that finds it unknown, and released at the next
//!    one that finds it still unknown under the same epoch. So a reply that is on its way arrives, as a rule.
//! 2. **Disown first.** Memory decides who is released, under its own lock, before the database hears of it: a
//!    run that arrived meanwhile is kept, and one that arrives later is refused, so its body never begins under
//!    an epoch that was given away. This is what makes it right; the two beats only make it rare.
//!
//! A claim is asked for by one worker and must be held by the same: who was declared dead and registered anew
//! meanwhile holds nothing of what the dead one claimed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::hub::Settled;
use super::pass::Pass;
use crate::record::{ClaimedRun, Epoch, RunId, WorkerId};

/// How long it is remembered that a claim was disowned: longer than any reply can be on its way.
const DISOWNED_FOR: Duration = Duration::from_secs(600);

/// Passes that a run may lose in one process, nobody having died, before it is put into quarantine.
const LOSSES_MAX: u32 = 3;

/// Losses are kept of so many runs.
const LOSSES_KEPT: usize = 10_000;

/// See the module.
#[derive(Default)]
pub struct Holdings {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// `None` before this process has registered, and while it registers anew.
    worker: Option<WorkerId>,
    runs: FxHashMap<RunId, Held>,
    /// Orphans of the last heartbeat.
    suspects: HashSet<(RunId, Epoch)>,
    disowned: HashMap<(RunId, Epoch), Instant>,
    /// How often runs lost their passes here, nobody having died.
    losses: HashMap<RunId, u32>,
    /// Passes whose end did not count: by the time a heartbeat tells why, they are not held any
    /// more.
    uncounted: Vec<(RunId, Epoch)>,
}

/// A run that this worker holds.
struct Held {
    epoch: Epoch,
    crashes: u32,
    /// Set once its pass has begun.
    pass: Option<Arc<Pass>>,
    /// Set once its pass has decided how the run settles.
    settled: Option<Settled>,
}

impl Holdings {
    /// This worker's row.
    pub fn worker(&self) -> Option<WorkerId> {
        self.lock().worker
    }

    /// Registered, at first or anew: nothing is held yet.
    pub fn enter(&self, worker: WorkerId) {
        let mut inner = self.lock();
        inner.worker = Some(worker);
        let left = std::mem::take(&mut inner.runs);
        drop(inner);
        lose(left.into_values().filter_map(|held| held.pass));
    }

    /// The worker was declared dead: its runs belong to others, and so does what it claimed and has not
    /// heard of yet.
    pub fn leave(&self) {
        self.lock().worker = None;
        self.forget();
    }

    /// Lets go of every run, and of its pass.
    pub fn forget(&self) {
        let left = std::mem::take(&mut self.lock().runs);
        lose(left.into_values().filter_map(|held| held.pass));
    }

    /// Notes runs that this worker claimed.
    pub fn hold(&self, worker: WorkerId, runs: &[ClaimedRun]) {
        let mut inner = self.lock();
        if inner.worker != Some(worker) {
            return;
        }
        let mut replaced = Vec::new();
        for run in runs {
            if inner.disowned.contains_key(&(run.id, run.epoch)) {
                continue;
            }
            let entry = Held {
                epoch: run.epoch,
                crashes: run.crashes,
                pass: None,
                settled: None,
            };
            let earlier = inner.runs.insert(run.id, entry);
            let earlier = earlier.filter(|earlier| earlier.epoch != run.epoch);
            replaced.extend(earlier.and_then(|earlier| earlier.pass));
        }
        drop(inner);
        // Such a run was taken from us elsewhere and came back to us before a heartbeat could tell.
        lose(replaced);
    }

    /// Of what a heartbeat found unknown, those to release now; from here on they are refused.
    pub fn disown(&self, orphans: &[(RunId, Epoch)]) -> Vec<(RunId, Epoch)> {
        let mut inner = self.lock();
        let now = Instant::now();
        inner
            .disowned
            .retain(|_, since| now.duration_since(*since) < DISOWNED_FOR);
        let is_held = |inner: &Inner, (run, epoch): &(RunId, Epoch)| {
            inner.runs.get(run).is_some_and(|held| held.epoch == *epoch)
        };
        let unknown: HashSet<_> = orphans
            .iter()
            .filter(|orphan| !is_held(&inner, orphan))
            .copied()
            .collect();
        let suspects = std::mem::replace(&mut inner.suspects, unknown);
        let released: Vec<_> = inner.suspects.intersection(&suspects).copied().collect();
        let disowned = released.iter().map(|orphan| (*orphan, now));
        inner.disowned.extend(disowned);
        released
    }

    /// Gives up those of these runs whose pass has not begun; answers which. From here on they are refused, so the
    /// database may hear of it when it does.
    pub fn give_up(&self, runs: &[ClaimedRun]) -> Vec<(RunId, Epoch)> {
        let mut inner = self.lock();
        let now = Instant::now();
        let mut given = Vec::with_capacity(runs.len());
        for run in runs {
            let held = inner.runs.get(&run.id);
            if held.is_none_or(|held| held.epoch != run.epoch || held.pass.is_some()) {
                continue;
            }
            inner.runs.remove(&run.id);
            inner.disowned.insert((run.id, run.epoch), now);
            given.push((run.id, run.epoch));
        }
        given
    }

    /// Drops what is known of runs that this worker no longer holds under these epochs. A pass that has
    /// ended stays until its end is told.
    pub fn lose(&self, runs: &[(RunId, Epoch)]) {
        let mut lost = Vec::new();
        let mut inner = self.lock();
        for (run, epoch) in runs {
            let entry = inner.runs.get(run).filter(|entry| entry.epoch == *epoch);
            match entry.map(|entry| entry.pass.clone()) {
                Some(Some(pass)) => lost.push(pass),
                Some(None) => drop(inner.runs.remove(run)),
                None => {}
            }
        }
        drop(inner);
        lose(lost);
    }

    /// A held run's pass begins; `false` when the run was lost or handed back before it could.
    #[must_use]
    pub fn attach(&self, pass: &Arc<Pass>) -> bool {
        let mut inner = self.lock();
        let entry = inner
            .runs
            .get_mut(&pass.run.id)
            .filter(|held| held.epoch == pass.run.epoch);
        match entry {
            Some(held) => {
                held.pass = Some(Arc::clone(pass));
                true
            }
            None => false,
        }
    }

    /// A pass has decided how its run settles.
    pub fn will_settle(&self, run: RunId, settled: Settled) {
        if let Some(held) = self.lock().runs.get_mut(&run) {
            held.settled = Some(settled);
        }
    }

    /// A pass is over. What it decided, if it still held its run.
    pub fn ended(&self, run: &ClaimedRun) -> Option<Option<Settled>> {
        let mut inner = self.lock();
        match inner.runs.entry(run.id) {
            Entry::Occupied(held) if held.get().epoch == run.epoch => Some(held.remove().settled),
            _ => None,
        }
    }

    /// Every run that is held.
    pub fn runs(&self) -> Vec<(RunId, Epoch)> {
        let inner = self.lock();
        let runs = inner.runs.iter();
        runs.map(|(run, held)| (*run, held.epoch)).collect()
    }

    /// The live passes of these runs.
    pub fn passes(&self, runs: &[RunId]) -> Vec<Arc<Pass>> {
        let inner = self.lock();
        runs.iter()
            .filter_map(|run| inner.runs.get(run)?.pass.clone())
            .collect()
    }

    /// Every live pass.
    pub fn all_passes(&self) -> Vec<Arc<Pass>> {
        let inner = self.lock();
        let held = inner.runs.values();
        held.filter_map(|held| held.pass.clone()).collect()
    }

    /// By how many dead workers each run was held.
    pub fn crashes(&self) -> Vec<u32> {
        let inner = self.lock();
        inner.runs.values().map(|held| held.crashes).collect()
    }

    /// Runs that have begun and were held by so many dead workers.
    pub fn begun(&self, crashes: u32) -> Vec<(RunId, Epoch)> {
        let inner = self.lock();
        let has_begun = |held: &Held| held.pass.is_some() && held.crashes >= crashes;
        let begun = inner.runs.iter().filter(|(_, held)| has_begun(held));
        begun.map(|(run, held)| (*run, held.epoch)).collect()
    }

    /// A run lost its pass: how often it did since the last one that ended well.
    pub fn lost_again(&self, run: RunId) -> u32 {
        let mut inner = self.lock();
        if inner.losses.len() >= LOSSES_KEPT {
            inner.losses.clear();
        }
        let losses = inner.losses.entry(run).or_default();
        *losses += 1;
        *losses
    }

    /// Whether it did so often that the run is better kept from others.
    pub fn loses_again_and_again(&self, run: RunId) -> bool {
        let losses = self.lock().losses.get(&run).copied();
        losses.is_some_and(|losses| losses >= LOSSES_MAX)
    }

    /// The end of a pass did not count: its run was taken away.
    pub fn note_uncounted(&self, run: RunId, epoch: Epoch) {
        let mut inner = self.lock();
        if inner.uncounted.len() < LOSSES_KEPT {
            inner.uncounted.push((run, epoch));
        }
    }

    /// Those whose end did not count since the last time.
    pub fn take_uncounted(&self) -> Vec<(RunId, Epoch)> {
        std::mem::take(&mut self.lock().uncounted)
    }

    /// A pass of a run ended and its end counts.
    pub fn went_well(&self, run: RunId) {
        let mut inner = self.lock();
        if !inner.losses.is_empty() {
            inner.losses.remove(&run);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lose(passes: impl IntoIterator<Item = Arc<Pass>>) {
    for pass in passes {
        pass.lose();
    }
}

#[cfg(test)]
mod tests;
