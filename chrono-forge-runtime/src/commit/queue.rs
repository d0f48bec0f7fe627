//! What waits for one commit thread: calls first, then starts, then plans.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::lanes::Lanes;
use super::{BatchLimits, PlanSink};
use crate::record::Plan;
use crate::store::{RunAnswer, RunCall, Start, Started, StoreError, StoreResult, Writer};

/// One plan with the pass that waits for it.
pub(super) struct Submission {
    pub plan: Plan,
    pub number: u64,
    pub sink: Arc<dyn PlanSink>,
    pub after_refusal: bool,
    /// Whether it passes by what waits of runs that are not.
    pub urgent: bool,
}

/// What a call does, and who waits for what comes of it.
pub(super) trait Work: Send {
    /// Does it and answers; `false` when neither was done, since somebody else has locked what it
    /// needs. Never where this is the last try.
    fn run(&mut self, writer: &mut dyn Writer, is_last: bool) -> bool;

    /// Answers that it cannot be done.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// A write of its own; dropped, it lets go of its caller.
pub(super) struct Call {
    pub name: &'static str,
    pub work: Box<dyn Work>,
}

/// Tells a caller what became of its start.
pub(super) type StartReply = Box<dyn FnOnce(StoreResult<Started>) + Send>;

/// The most calls of one turn: what else waits, waits for no more.
const CALLS_MAX: usize = 64;

/// How a commit thread waits.
#[derive(Clone, Copy)]
pub(super) enum Rest {
    /// A batch waits for its next try at this moment, and no new plans are taken.
    Stuck(Instant),
    /// For anything, at the latest until this moment.
    Idle(Option<Instant>),
}

/// Tells a caller what became of what was asked of a run.
pub(super) type RunReply = Box<dyn FnOnce(StoreResult<RunAnswer>) + Send>;

/// What one turn of the commit thread serves.
#[derive(Default)]
pub(super) struct Turn {
    /// Those that keep the worker alive, before all others.
    pub alive: VecDeque<Call>,
    pub calls: VecDeque<Call>,
    /// All of one name.
    pub of_runs: Vec<(RunCall, RunReply)>,
    pub starts: Vec<(Start, StartReply)>,
    pub plans: Vec<Submission>,
    /// Nothing more will come.
    pub closed: bool,
    /// Stop now and write nothing.
    pub halted: bool,
}

#[derive(Default)]
struct Waiting {
    alive: VecDeque<Call>,
    calls: VecDeque<Call>,
    of_runs: VecDeque<(RunCall, RunReply)>,
    starts: VecDeque<(Start, StartReply)>,
    plans: Lanes,
    /// Told once nothing is left that was queued.
    empty: Vec<oneshot::Sender<()>>,
    closed: bool,
    halted: bool,
    /// Whether the commit thread sleeps. Waking it takes a system call, which is wasted on a thread
    /// that is awake.
    asleep: bool,
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    limits: BatchLimits,
    pub urgent: AtomicUsize,
    pub others: AtomicUsize,
    pub commits: AtomicU64,
    /// Why the batch at the head is not written until somebody has mended it.
    obstacle: Mutex<Option<StoreError>>,
}

impl Queue {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            limits,
            urgent: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
            commits: AtomicU64::new(0),
            obstacle: Mutex::new(None),
        }
    }

    /// See the field.
    pub(super) fn obstacle(&self) -> Option<StoreError> {
        let obstacle = self.obstacle.lock();
        obstacle.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_obstacle(&self, obstacle: Option<StoreError>) {
        *self.obstacle.lock().unwrap_or_else(PoisonError::into_inner) = obstacle;
    }

    pub(super) fn push_plan(&self, submission: Submission) {
        self.push(|waiting| {
            self.backlog(submission.urgent)
                .fetch_add(1, Ordering::Relaxed);
            waiting.plans.push(submission);
        });
    }

    pub(super) fn push_start(&self, start: Start, reply: StartReply) {
        self.push(|waiting| waiting.starts.push_back((start, reply)));
    }

    pub(super) fn push_call(&self, call: Call) {
        self.push(|waiting| waiting.calls.push_back(call));
    }

    pub(super) fn push_of_run(&self, call: RunCall, reply: RunReply) {
        self.push(|waiting| waiting.of_runs.push_back((call, reply)));
    }

    /// Before all other calls.
    pub(super) fn push_alive(&self, call: Call) {
        self.push(|waiting| waiting.alive.push_back(call));
    }

    /// One that came while others are served.
    pub(super) fn take_alive(&self) -> Option<Call> {
        self.lock().alive.pop_front()
    }

    /// Completes once everything that is queued now is written, or never will be.
    pub(super) fn emptied(&self) -> oneshot::Receiver<()> {
        let (teller, told) = oneshot::channel();
        self.push(|waiting| waiting.empty.push(teller));
        told
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Lets go of everything that waits, so that no caller waits for an answer that never comes.
    pub(super) fn halt(&self) {
        let mut waiting = self.lock();
        let left = std::mem::take(&mut *waiting);
        waiting.halted = true;
        // Slots that wait for fewer plans go on, and end.
        self.urgent.store(0, Ordering::Relaxed);
        self.others.store(0, Ordering::Relaxed);
        drop(waiting);
        // Dropping a reply wakes its caller, which may come back for the lock.
        drop(left);
        self.arrived.notify_one();
    }

    /// After the end nothing is queued: dropping the reply tells the caller.
    fn push(&self, add: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        if waiting.halted || waiting.closed {
            return;
        }
        add(&mut waiting);
        // Whoever comes before it is awake need not wake it once more.
        let wakes = std::mem::take(&mut waiting.asleep);
        // Before the thread is woken: otherwise it finds the lock taken and sleeps again.
        drop(waiting);
        if wakes {
            self.arrived.notify_one();
        }
    }

    /// Waits for work.
    pub(super) fn next_turn(&self, rest: Rest) -> Turn {
        let (takes_plans, until) = match rest {
            Rest::Stuck(at) => (false, Some(at)),
            Rest::Idle(until) => (true, until),
        };
        let mut waiting = self.lock();
        loop {
            let has_plans = takes_plans && !waiting.plans.is_empty();
            let is_idle = waiting.alive.is_empty()
                && waiting.calls.is_empty()
                && waiting.of_runs.is_empty()
                && waiting.starts.is_empty()
                && !has_plans;
            if is_idle && takes_plans {
                // The thread comes for more once it has written what it took.
                for teller in waiting.empty.drain(..) {
                    let _ = teller.send(());
                }
            }
            // Whoever closes still waits for what is to be tried again, and that for its moment.
            if waiting.halted || !is_idle || waiting.closed && until.is_none() {
                break;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            waiting = self.sleep(waiting, left);
        }
        let plans = match takes_plans {
            true => self.take_batch(&mut waiting),
            false => Vec::new(),
        };
        let starts = self.take_starts(&mut waiting.starts);
        let of_runs = self.take_of_runs(&mut waiting.of_runs);
        let most = waiting.calls.len().min(CALLS_MAX);
        Turn {
            alive: std::mem::take(&mut waiting.alive),
            calls: waiting.calls.drain(..most).collect(),
            of_runs,
            starts,
            closed: waiting.closed
                && waiting.plans.is_empty()
                && waiting.starts.is_empty()
                && waiting.calls.is_empty()
                && waiting.of_runs.is_empty(),
            halted: waiting.halted,
            plans,
        }
    }

    /// Sleeps until something arrives, for `at_most` so long.
    fn sleep<'a>(
        &self,
        mut waiting: MutexGuard<'a, Waiting>,
        at_most: Option<Duration>,
    ) -> MutexGuard<'a, Waiting> {
        waiting.asleep = true;
        let mut waiting = match at_most {
            None => self
                .arrived
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner),
            Some(at_most) => {
                let woken = self.arrived.wait_timeout(waiting, at_most);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        waiting.asleep = false;
        waiting
    }

    fn take_batch(&self, waiting: &mut Waiting) -> Vec<Submission> {
        let batch = waiting.plans.take_batch(self.limits);
        let urgent = batch.iter().filter(|plan| plan.urgent).count();
        self.urgent.fetch_sub(urgent, Ordering::Relaxed);
        self.others
            .fetch_sub(batch.len() - urgent, Ordering::Relaxed);
        batch
    }

    /// The starts of one transaction, within the same limits as plans: any number of callers may wait.
    fn take_starts(&self, waiting: &mut VecDeque<(Start, StartReply)>) -> Vec<(Start, StartReply)> {
        let mut bytes = 0;
        let fits = |(start, _): &&(Start, StartReply)| {
            bytes += start.key.len() + start.args.len();
            bytes <= self.limits.bytes_max
        };
        let most = waiting.iter().take(self.limits.plans_max);
        let count = most.take_while(fits).count().max(1);
        let count = count.min(waiting.len());
        waiting.drain(..count).collect()
    }

    /// What is asked of runs in one transaction: the first call's name is that of all.
    fn take_of_runs(
        &self,
        waiting: &mut VecDeque<(RunCall, RunReply)>,
    ) -> Vec<(RunCall, RunReply)> {
        let name = waiting.front().map(|(call, _)| call.name());
        let alike = |(call, _): &&(RunCall, RunReply)| Some(call.name()) == name;
        let most = waiting.iter().take(self.limits.plans_max);
        let count = most.take_while(alike).count();
        waiting.drain(..count).collect()
    }

    fn backlog(&self, urgent: bool) -> &AtomicUsize {
        match urgent {
            true => &self.urgent,
            false => &self.others,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code that can panic runs under this lock, so a poisoned one is still whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
