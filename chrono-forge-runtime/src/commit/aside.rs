//! Plans that are set aside: each could not be written for now, with all that follows of its pass, while others go
//! on.
//!
//! A plan comes here when it waits for what somebody else has locked, or when it failed again and again. It is
//! tried again by itself, after pauses that grow; what its pass submits meanwhile waits behind it, so that the
//! order stays. Where writers work beside each other a thread of its own tries, with more patience than batches
//! have: it may wait for a lock, or for a slow statement, and nobody waits for it.
//!
//! Waiting for a lock, and a database that is slow or away, never end a run. What does: alone in its transaction the
//! plan ran into the time limit of a statement [`LIMITS_MAX`] times, and each time others had been written
//! since the time before, and nobody held a lock that it needs.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::batch::Batch;
use super::queue::Submission;
use crate::record::Fence;

/// The pause before the first try; doubles up to [`BatchLimits::pause_max`](super::BatchLimits::pause_max).
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The same where a try costs nearly nothing.
const PAUSE_AWAY_MAX: Duration = Duration::from_secs(1);

/// Plans that are tried together at first: a batch that was too slow as a whole comes here in single plans, nearly all of
/// which are in nobody's way.
const TOGETHER_MAX: usize = 32;

/// See the module.
pub(super) const LIMITS_MAX: u32 = 10;

/// What is set aside in a process.
pub(super) struct Aside {
    /// Between two tries of one plan, at most.
    pause_max: Duration,
    state: Mutex<State>,
    moved: Condvar,
    /// Passes whose plans may not go the usual way. While there are none, nobody asks for the lock.
    concerned: AtomicUsize,
    plans: AtomicUsize,
    /// Batches that were written the usual way.
    written: AtomicU64,
}

#[derive(Default)]
struct State {
    chains: HashMap<Fence, Chain>,
    /// Passes of which a write was refused: nothing of them is written any more but their failure.
    refused: HashSet<(i64, i64)>,
    /// Who is due for longest went first the last time.
    by_age: bool,
    /// Told once nothing is set aside.
    empty: Vec<oneshot::Sender<()>>,
    /// Threads that may still set something aside.
    writers: usize,
    closed: bool,
    halted: bool,
}

/// The plans of one pass, in order.
struct Chain {
    plans: VecDeque<Batch>,
    /// The first of them is being tried.
    is_tried: bool,
    /// It failed in company, and is tried alone from now on.
    is_alone: bool,
    due: Instant,
    pause: Duration,
    /// How often the first one ran into the limit of a statement, and what had been written by then.
    limits: u32,
    written: u64,
}

/// How a plan that is set aside failed again.
pub(super) enum Failed {
    /// The database is away, or takes nothing.
    Away,
    /// It waited for somebody, or for a slow database.
    Waits,
    /// By itself, with nobody in its way, it takes longer than a statement may.
    TooSlow,
}

impl Aside {
    pub(super) fn new(pause_max: Duration) -> Self {
        Self {
            pause_max,
            state: Mutex::default(),
            moved: Condvar::new(),
            concerned: AtomicUsize::new(0),
            plans: AtomicUsize::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// One more thread may set plans aside until [`Aside::writer_ended`].
    pub(super) fn writer_begins(&self) {
        self.lock().writers += 1;
    }

    pub(super) fn writer_ended(&self) {
        self.lock().writers -= 1;
        self.moved.notify_all();
    }

    /// Notes that a batch was written the usual way.
    pub(super) fn note_written(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// Plans that wait here.
    pub(super) fn waiting(&self) -> usize {
        self.plans.load(Ordering::Relaxed)
    }

    /// Takes a batch of one plan out of the way. Its pass comes here from now on until all is written.
    pub(super) fn set_aside(&self, batch: Batch) {
        let Some(fence) = batch.fences().next() else {
            return;
        };
        let mut state = self.lock();
        if state.halted {
            return;
        }
        self.plans.fetch_add(1, Ordering::Relaxed);
        let chain = state.chains.entry(fence).or_insert_with(|| Chain {
            plans: VecDeque::new(),
            is_tried: false,
            is_alone: false,
            due: Instant::now() + PAUSE_MIN,
            pause: PAUSE_MIN,
            limits: 0,
            written: 0,
        });
        chain.plans.push_back(batch);
        self.count(&state);
        drop(state);
        self.moved.notify_all();
    }

    /// Leaves out what belongs to refused passes, and takes what must wait behind plans that are set aside.
    pub(super) fn admit(&self, plans: Vec<Submission>) -> Vec<Submission> {
        if self.concerned.load(Ordering::Acquire) == 0 {
            return plans;
        }
        let mut state = self.lock();
        let mut admitted = Vec::with_capacity(plans.len());
        for submission in plans {
            let fence = submission.plan.fence;
            let key = refusal_key(fence);
            if submission.after_refusal {
                state.refused.remove(&key);
            } else if state.refused.contains(&key) {
                continue;
            }
            match state.chains.get_mut(&fence) {
                Some(chain) => {
                    self.plans.fetch_add(1, Ordering::Relaxed);
                    chain.plans.push_back(Batch::fold([submission]));
                }
                None => admitted.push(submission),
            }
        }
        self.count(&state);
        admitted
    }

    /// A write of this pass was refused: what it has queued is dropped, and what it queues but its failure.
    pub(super) fn refuse(&self, fence: Fence) {
        let mut state = self.lock();
        if let Some(chain) = state.chains.remove(&fence) {
            let dropped = chain.plans.len() + usize::from(chain.is_tried);
            self.plans.fetch_sub(dropped, Ordering::Relaxed);
        }
        state.refused.insert(refusal_key(fence));
        self.settled(&mut state);
    }

    /// The plans that are due, to be tried now: those that have not failed since they are here together, others alone.
    pub(super) fn take_due(&self) -> Option<Batch> {
        if self.concerned.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.lock().take_due(Instant::now())
    }

    /// When the next plan is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.concerned.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.lock().next_due()
    }

    /// As [`Aside::take_due`], as soon as one is due; `None` when nothing will be any more.
    pub(super) fn await_due(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if state.halted || state.closed && state.writers == 0 && state.chains.is_empty() {
                return None;
            }
            let now = Instant::now();
            if let Some(batch) = state.take_due(now) {
                return Some(batch);
            }
            let wait = state.next_due().map(|due| due - now);
            let wait = wait.unwrap_or(Duration::from_secs(3_600));
            let waited = self.moved.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A plan that was taken is written; what follows it is due.
    pub(super) fn written(&self, fence: Fence) {
        let mut state = self.lock();
        // A halt may have come before, and has counted everything.
        if let Some(chain) = state.chains.get_mut(&fence) {
            self.plans.fetch_sub(1, Ordering::Relaxed);
            chain.is_tried = false;
            chain.is_alone = false;
            chain.due = Instant::now();
            chain.pause = PAUSE_MIN;
            chain.limits = 0;
            if chain.plans.is_empty() {
                state.chains.remove(&fence);
            }
        }
        // The database takes writes: who waits for it need wait no longer.
        self.settled(&mut state);
    }

    /// Plans that were taken together failed: each is tried alone now.
    pub(super) fn failed_together(&self, batch: Batch) {
        let mut state = self.lock();
        for single in batch.singles() {
            let fence = single.fences().next();
            if let Some(chain) = fence.and_then(|fence| state.chains.get_mut(&fence)) {
                chain.is_tried = false;
                chain.is_alone = true;
                chain.due = Instant::now();
                chain.plans.push_front(single);
            }
        }
    }

    /// A plan that was taken failed again. Given back if it is not to be tried any more.
    pub(super) fn failed(&self, batch: Batch, how: &Failed) -> Option<Batch> {
        let fence = batch.fences().next()?;
        let written = self.written.load(Ordering::Relaxed);
        let mut state = self.lock();
        let chain = state.chains.get_mut(&fence)?;
        if matches!(how, Failed::TooSlow) && (chain.limits == 0 || chain.written != written) {
            chain.limits += 1;
            chain.written = written;
            if chain.limits >= LIMITS_MAX {
                return Some(batch);
            }
        }
        chain.is_tried = false;
        chain.is_alone = true;
        chain.plans.push_front(batch);
        let most = match how {
            Failed::Away => PAUSE_AWAY_MAX.min(self.pause_max),
            Failed::Waits | Failed::TooSlow => self.pause_max,
        };
        chain.pause = (chain.pause * 2).min(most);
        chain.due = Instant::now() + chain.pause;
        None
    }

    /// The database takes writes again: everything is due.
    pub(super) fn hurry(&self) {
        if self.concerned.load(Ordering::Acquire) == 0 {
            return;
        }
        let now = Instant::now();
        for chain in self.lock().chains.values_mut() {
            chain.due = chain.due.min(now);
        }
        self.moved.notify_all();
    }

    /// Completes once nothing is set aside, or never will be written.
    pub(super) fn emptied(&self) -> oneshot::Receiver<()> {
        let (teller, told) = oneshot::channel();
        let mut state = self.lock();
        if !state.halted {
            state.empty.push(teller);
            self.settled(&mut state);
        }
        told
    }

    /// Nothing more comes but what the last batches leave.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.moved.notify_all();
    }

    /// Drops what is set aside, unwritten and unanswered.
    pub(super) fn halt(&self) {
        let mut state = self.lock();
        let left = std::mem::take(&mut *state);
        state.halted = true;
        state.writers = left.writers;
        self.plans.store(0, Ordering::Relaxed);
        self.concerned.store(0, Ordering::Release);
        drop(state);
        // Dropping what waits may run code that comes back for the lock.
        drop(left);
        self.moved.notify_all();
    }

    fn settled(&self, state: &mut State) {
        if state.chains.is_empty() {
            for teller in state.empty.drain(..) {
                let _ = teller.send(());
            }
        }
        self.count(state);
        self.moved.notify_all();
    }

    fn count(&self, state: &State) {
        let concerned = state.chains.len() + state.refused.len();
        self.concerned.store(concerned, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_due(&mut self, now: Instant) -> Option<Batch> {
        self.by_age = !self.by_age;
        let by_age = self.by_age;
        let chains = self.chains.values_mut();
        let is_due = |chain: &&mut Chain| !chain.is_tried && chain.due <= now;
        let mut due: Vec<&mut Chain> = chains.filter(is_due).collect();
        // Those that may go together first, since most of them are in nobody's way; every other time whoever is due
        // for longest, so that none waits for ever.
        due.sort_unstable_by_key(|chain| (chain.is_alone && !by_age, chain.due));
        let mut taken = Batch::default();
        for chain in due.into_iter().take(TOGETHER_MAX) {
            if !taken.is_empty() && chain.is_alone {
                break;
            }
            chain.is_tried = true;
            taken.extend(chain.plans.pop_front());
            if chain.is_alone {
                break;
            }
        }
        (!taken.is_empty()).then_some(taken)
    }

    fn next_due(&self) -> Option<Instant> {
        let waiting = self.chains.values().filter(|chain| !chain.is_tried);
        waiting.map(|chain| chain.due).min()
    }
}

fn refusal_key(fence: Fence) -> (i64, i64) {
    (fence.run.0, fence.epoch.0)
}

#[cfg(test)]
mod tests;
