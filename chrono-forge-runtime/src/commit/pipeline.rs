//! A commit thread.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::CommitObserver;
use super::batch::Batch;
use super::queue::{Call, Queue, StartReply, Submission};
use super::threads::watch;
use crate::clock::Clock;
use crate::failpoint::{Failpoints, Reaction};
use crate::record::{Fence, PlanOutcome, Verdict};
use crate::store::{Applied, Start, StoreError, StoreErrorKind, StoreResult, Writer};
use crate::telemetry::{TARGET, Trouble};

/// First pause before a transient failure is tried again; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A batch that failed after so long may be too much for the time that the database gives a statement, and would be the
/// next time: it is written in halves.
const SLOW: Duration = Duration::from_millis(100);

/// What all commit threads of a process share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn CommitObserver>,
    pub(super) failpoints: Arc<Failpoints>,
    /// Every queue of the process: a death stops all of them.
    pub(super) queues: Arc<[Arc<Queue>]>,
}

pub(super) struct Pipeline {
    queue: Arc<Queue>,
    writer: Box<dyn Writer>,
    around: Surroundings,
    runtime: tokio::runtime::Handle,
    trouble: Trouble,
    /// Runs of which a write was refused: nothing of them is written any more but their failure.
    refused: HashSet<(i64, i64)>,
    /// A batch that met a transient failure; the same bytes are tried again.
    stuck: Option<(Batch, Duration)>,
    /// Parts of that batch that come after it, the last one first; nothing else does before them.
    parts: Vec<Batch>,
}

/// Batches up to this many plans are acknowledged on the commit thread.
const SETTLE_INLINE_MAX: usize = 32;

/// The thread stops where a crash would.
struct Halted;

impl Pipeline {
    pub(super) fn new(
        queue: Arc<Queue>,
        writer: Box<dyn Writer>,
        around: Surroundings,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            queue,
            writer,
            around,
            runtime,
            trouble: Trouble::default(),
            refused: HashSet::new(),
            stuck: None,
            parts: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let turn = self.queue.next_turn(self.pause());
            if turn.halted || self.serve(turn.calls, turn.starts, turn.plans).is_err() {
                for queue in &*self.around.queues {
                    queue.halt();
                }
                return;
            }
            if turn.closed && self.stuck.is_none() && self.parts.is_empty() {
                return;
            }
        }
    }

    /// How long the batch that is under way waits for its next try; `None` without one.
    fn pause(&self) -> Option<Duration> {
        let next_part = (!self.parts.is_empty()).then_some(Duration::ZERO);
        let pause = self.stuck.as_ref().map(|(_, pause)| *pause);
        pause.or(next_part)
    }

    fn serve(
        &mut self,
        calls: impl IntoIterator<Item = Call>,
        starts: Vec<(Start, StartReply)>,
        plans: Vec<Submission>,
    ) -> Result<(), Halted> {
        for call in calls {
            self.before(call.name)?;
            (call.run)(Some(self.writer.as_mut()));
            self.after(call.name)?;
        }
        if !starts.is_empty() {
            self.start(starts)?;
        }
        let (batch, pause) = match (self.stuck.take(), self.parts.is_empty()) {
            (Some(stuck), _) => stuck,
            (None, false) => (self.parts.pop().unwrap_or_default(), PAUSE_MIN),
            (None, true) => (self.admit(plans), PAUSE_MIN),
        };
        if !batch.is_empty() {
            self.write(batch, pause)?;
        }
        Ok(())
    }

    fn start(&mut self, starts: Vec<(Start, StartReply)>) -> Result<(), Halted> {
        let (starts, replies): (Vec<_>, Vec<_>) = starts.into_iter().unzip();
        self.before("start")?;
        match self.writer.start(&starts, self.around.clock.now()) {
            Ok(started) => {
                self.after("start")?;
                for (reply, started) in replies.into_iter().zip(started) {
                    reply(Ok(started));
                }
            }
            // One start that cannot be written must not take the others with it.
            Err(error) if starts.len() > 1 && !error.is_transient() => {
                for (start, reply) in starts.into_iter().zip(replies) {
                    self.start(vec![(start, reply)])?;
                }
            }
            Err(error) => {
                for reply in replies {
                    reply(Err(error.clone()));
                }
            }
        }
        Ok(())
    }

    /// Drops what belongs to refused runs, then folds.
    fn admit(&mut self, plans: Vec<Submission>) -> Batch {
        let refused = &mut self.refused;
        if refused.is_empty() {
            return Batch::fold(plans);
        }
        Batch::fold(plans.into_iter().filter(|submission| {
            let key = refusal_key(submission.plan.fence);
            if submission.after_refusal {
                refused.remove(&key);
                return true;
            }
            !refused.contains(&key)
        }))
    }

    fn write(&mut self, batch: Batch, pause: Duration) -> Result<(), Halted> {
        self.before("apply")?;
        let begun = Instant::now();
        match self.apply(&batch) {
            Ok(applied) => {
                if let Some(outage) = self.trouble.over() {
                    self.queue.set_obstacle(None);
                    tracing::info!(target: TARGET, ?outage, "commits succeed again");
                }
                self.after("apply")?;
                self.settle(batch, applied);
                Ok(())
            }
            Err(error) if error.kind == StoreErrorKind::Refused => {
                // The database answers again, if it did not: it is the bytes now.
                self.queue.set_obstacle(None);
                self.bisect(batch, error)
            }
            Err(error) => {
                let what = "a commit failed; trying the same bytes again";
                self.trouble.tell(&error, what);
                let obstacle = error.needs_mending().then_some(error);
                self.queue.set_obstacle(obstacle);
                self.keep(batch, (pause * 2).min(PAUSE_MAX), begun.elapsed());
                Ok(())
            }
        }
    }

    /// Keeps a batch for its next try, which comes after this pause.
    fn keep(&mut self, batch: Batch, pause: Duration, took: Duration) {
        if took < SLOW || batch.plans.len() < 2 {
            self.stuck = Some((batch, pause));
            return;
        }
        let (first, second) = batch.halve();
        self.stuck = Some((first, pause));
        self.parts.push(second);
    }

    fn apply(&mut self, batch: &Batch) -> StoreResult<Applied> {
        self.writer.apply(&batch.plans, self.around.clock.now())
    }

    /// The unit of isolation is a run: finds the one whose bytes the database refuses.
    fn bisect(&mut self, batch: Batch, error: StoreError) -> Result<(), Halted> {
        if batch.plans.len() > 1 {
            let (first, second) = batch.halve();
            self.write_half(first)?;
            return self.write_half(second);
        }
        tracing::error!(target: TARGET, %error, "the database refused a run's write");
        for fence in batch.fences() {
            self.refused.insert(refusal_key(fence));
        }
        let outcome = PlanOutcome {
            verdict: Verdict::Refused {
                error: error.to_string(),
            },
            claimed: Vec::new(),
        };
        let applied = Applied {
            outcomes: vec![outcome],
            ..Applied::default()
        };
        self.settle(batch, applied);
        Ok(())
    }

    /// A half that meets a transient failure is tried again in place: the other half waits for it.
    fn write_half(&mut self, half: Batch) -> Result<(), Halted> {
        self.write(half, PAUSE_MIN)?;
        while let Some((batch, pause)) = self.stuck.take() {
            if self.queue.is_halted() {
                return Err(Halted);
            }
            std::thread::sleep(pause);
            self.write(batch, pause)?;
        }
        Ok(())
    }

    fn settle(&mut self, batch: Batch, applied: Applied) {
        for (plan, outcome) in batch.plans.iter().zip(&applied.outcomes) {
            // What such a run has queued behind it rests on children that do not exist.
            if matches!(outcome.verdict, Verdict::ForeignChild { .. }) {
                self.refused.insert(refusal_key(plan.fence));
            }
        }
        self.around.observer.committed(&batch.plans, &applied);
        let inline = batch.plans.len() <= SETTLE_INLINE_MAX;
        let settle = move || {
            let Batch { plans, waiters } = batch;
            for (waiter, outcome) in waiters.into_iter().zip(applied.outcomes) {
                waiter.sink.settled(waiter.through, outcome);
            }
            drop(plans);
        };
        // A few are told at once, since somebody waits; telling (and freeing) the many of a busy engine
        // costs about as much as writing them, so the next transaction does not wait for that.
        if inline {
            settle();
        } else {
            let around = self.around.clone();
            self.runtime.spawn(async move { watch(around, settle) });
        }
    }

    fn before(&self, name: &'static str) -> Result<(), Halted> {
        self.react(self.around.failpoints.before_commit(name))
    }

    fn after(&self, name: &'static str) -> Result<(), Halted> {
        self.queue.commits.fetch_add(1, Ordering::Relaxed);
        self.react(self.around.failpoints.after_commit(name))
    }

    fn react(&self, reaction: Reaction) -> Result<(), Halted> {
        match reaction {
            Reaction::Continue => Ok(()),
            Reaction::Crash => Err(Halted),
        }
    }
}

fn refusal_key(fence: Fence) -> (i64, i64) {
    (fence.run.0, fence.epoch.0)
}
