//! What waits for one commit thread: calls first, then starts, then plans.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::lanes::Lanes;
use super::{BatchLimits, PlanSink};
use crate::record::Plan;
use crate::store::{Start, Started, StoreError, StoreResult, Writer};

/// One plan with the pass that waits for it.
pub(super) struct Submission {
    pub plan: Plan,
    pub number: u64,
    pub sink: Arc<dyn PlanSink>,
    pub after_refusal: bool,
    /// Whether it passes by what waits of runs that are not.
    pub urgent: bool,
}

/// What a call does with the writer.
pub(super) type Work = Box<dyn FnOnce(Option<&mut dyn Writer>) + Send>;

/// A write of its own; run with `None` it only lets go of its caller.
pub(super) struct Call {
    pub name: &'static str,
    pub run: Work,
}

/// Tells a caller what became of its start.
pub(super) type StartReply = Box<dyn FnOnce(StoreResult<Started>) + Send>;

/// What one turn of the commit thread serves.
#[derive(Default)]
pub(super) struct Turn {
    pub calls: VecDeque<Call>,
    pub starts: Vec<(Start, StartReply)>,
    pub plans: Vec<Submission>,
    /// Nothing more will come.
    pub closed: bool,
    /// Stop now and write nothing.
    pub halted: bool,
}

#[derive(Default)]
struct Waiting {
    calls: VecDeque<Call>,
    starts: VecDeque<(Start, StartReply)>,
    plans: Lanes,
    /// Told once nothing is left that was queued.
    empty: Vec<oneshot::Sender<()>>,
    closed: bool,
    halted: bool,
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

    pub(super) fn is_halted(&self) -> bool {
        self.lock().halted
    }

    /// After the end nothing is queued: dropping the reply tells the caller.
    fn push(&self, add: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        if !waiting.halted && !waiting.closed {
            add(&mut waiting);
            self.arrived.notify_one();
        }
    }

    /// Waits for work. With `stuck_for` a batch waits for its next try: no new plans are taken, and
    /// the turn comes at the latest when that time is over.
    pub(super) fn next_turn(&self, stuck_for: Option<Duration>) -> Turn {
        let mut waiting = self.lock();
        loop {
            let has_plans = stuck_for.is_none() && !waiting.plans.is_empty();
            let idle = waiting.calls.is_empty() && waiting.starts.is_empty() && !has_plans;
            if idle && stuck_for.is_none() {
                // The thread comes for more once it has written what it took.
                for teller in waiting.empty.drain(..) {
                    let _ = teller.send(());
                }
            }
            // A batch that is stuck keeps its pause also when nothing more will come: the database is no
            // sooner back for that.
            let is_over = waiting.closed && stuck_for.is_none();
            if waiting.halted || is_over || !idle {
                break;
            }
            match stuck_for {
                None => {
                    waiting = self
                        .arrived
                        .wait(waiting)
                        .unwrap_or_else(PoisonError::into_inner)
                }
                Some(delay) => {
                    waiting = self
                        .arrived
                        .wait_timeout(waiting, delay)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                    break;
                }
            }
        }
        let plans = if stuck_for.is_some() {
            Vec::new()
        } else {
            self.take_batch(&mut waiting)
        };
        let starts = self.take_starts(&mut waiting.starts);
        Turn {
            calls: std::mem::take(&mut waiting.calls),
            starts,
            closed: waiting.closed && waiting.plans.is_empty() && waiting.starts.is_empty(),
            halted: waiting.halted,
            plans,
        }
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
