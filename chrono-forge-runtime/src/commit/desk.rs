//! What becomes of batches that were tried: who is told, and what is tried again by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::CommitObserver;
use super::aside::{Aside, Failed, LIMITS_MAX};
use super::batch::Batch;
use super::patience::Patience;
use super::queue::Queue;
use super::threads::watch;
use crate::clock::Clock;
use crate::failpoint::{Failpoints, Reaction};
use crate::record::{Fence, PlanOutcome, Verdict};
use crate::store::{Applied, StoreError, StoreErrorKind, Writer};
use crate::telemetry::TARGET;

/// A batch that failed after so long waited for somebody, or is too much for the time that the database gives a
/// statement.
pub(super) const SLOW: Duration = Duration::from_millis(100);

/// Batches up to this many plans are acknowledged on the commit thread.
const SETTLE_INLINE_MAX: usize = 32;

/// The thread stops where a crash would.
pub(super) struct Halted;

/// What all commit threads of a process share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn CommitObserver>,
    pub(super) failpoints: Arc<Failpoints>,
    /// Every queue of the process: a death stops all of them.
    pub(super) queues: Arc<[Arc<Queue>]>,
    pub(super) aside: Arc<Aside>,
    pub(super) patience: Arc<Patience>,
}

impl Surroundings {
    /// Stops every thread of the process.
    pub(super) fn halt(&self) {
        self.queues.iter().for_each(|queue| queue.halt());
        self.aside.halt();
        self.patience.halt();
    }
}

/// One thread's.
pub(super) struct Desk {
    around: Surroundings,
    /// Where its commits are counted.
    queue: Arc<Queue>,
    runtime: tokio::runtime::Handle,
}

impl Desk {
    pub(super) fn new(
        around: Surroundings,
        queue: Arc<Queue>,
        runtime: tokio::runtime::Handle,
    ) -> Self {
        Self {
            around,
            queue,
            runtime,
        }
    }

    pub(super) fn aside(&self) -> &Arc<Aside> {
        &self.around.aside
    }

    pub(super) fn patience(&self) -> &Arc<Patience> {
        &self.around.patience
    }

    pub(super) fn now(&self) -> Timestamp {
        self.around.clock.now()
    }

    /// Stops every thread of the process.
    pub(super) fn halt(&self) {
        self.around.halt();
    }

    pub(super) fn settle(&self, batch: Batch, applied: Applied) {
        self.around.observer.committed(&batch.plans, &applied);
        let inline = batch.plans.len() <= SETTLE_INLINE_MAX;
        let settle = move || {
            let Batch { plans, waiters, .. } = batch;
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

    /// Nothing of this plan's run is written any more but its failure.
    pub(super) fn refuse(&self, batch: Batch, error: String) {
        tracing::error!(target: TARGET, %error, "the database refused a run's write");
        for fence in batch.fences() {
            self.around.aside.refuse(fence);
        }
        let outcome = PlanOutcome {
            verdict: Verdict::Refused { error },
            claimed: Vec::new(),
        };
        let applied = Applied {
            outcomes: vec![outcome],
            ..Applied::default()
        };
        self.settle(batch, applied);
    }

    /// Tries plans that are set aside: such as have not failed here yet, or one that is alone in its transaction.
    pub(super) fn try_again(&self, writer: &mut dyn Writer, batch: Batch) -> Result<(), Halted> {
        self.before("aside")?;
        let begun = Instant::now();
        match writer.apply(&batch.plans, self.now()) {
            Ok(applied) => {
                self.after("aside")?;
                let fences: Vec<Fence> = batch.fences().collect();
                self.settle(batch, applied);
                for fence in fences {
                    self.around.aside.written(fence);
                }
            }
            Err(_) if batch.plans.len() > 1 => self.around.aside.failed_together(batch),
            Err(error) if error.kind == StoreErrorKind::Refused => {
                self.refuse(batch, error.to_string());
            }
            Err(error) => {
                self.survive(&error)?;
                let took = begun.elapsed();
                let how = how_it_failed(writer, &batch, &error, took);
                for fence in batch.fences() {
                    tracing::warn!(target: TARGET, run = %fence.run, %error, ?took, "a write that is set aside failed again; it is tried on, and other runs go on");
                }
                if let Some(batch) = self.around.aside.failed(batch, &how) {
                    self.refuse(batch, too_slow(&error));
                }
            }
        }
        Ok(())
    }

    /// Stops at what nothing helps against while this engine lives.
    pub(super) fn survive(&self, error: &StoreError) -> Result<(), Halted> {
        if error.ends_the_engine() {
            self.around.observer.stopped(error);
            return Err(Halted);
        }
        Ok(())
    }

    pub(super) fn before(&self, name: &'static str) -> Result<(), Halted> {
        react(self.around.failpoints.before_commit(name))
    }

    pub(super) fn after(&self, name: &'static str) -> Result<(), Halted> {
        self.queue.commits.fetch_add(1, Ordering::Relaxed);
        react(self.around.failpoints.after_commit(name))
    }
}

/// Who waited for a lock did not take too long by itself.
fn how_it_failed(
    writer: &mut dyn Writer,
    batch: &Batch,
    error: &StoreError,
    took: Duration,
) -> Failed {
    if error.kind == StoreErrorKind::Slow
        && let Ok(Some(held_up)) = writer.held_up(&batch.plans)
        && !held_up.contains(&true)
    {
        return Failed::TooSlow;
    }
    if took >= SLOW {
        Failed::Waits
    } else {
        Failed::Away
    }
}

fn too_slow(error: &StoreError) -> String {
    format!(
        "alone in its transaction it took longer than a statement may, {LIMITS_MAX} times, while others were \
         written ({error}); write less at once, or give statements more time: they have two fifths of the \
         lease (`.lease(..)`)"
    )
}

fn react(reaction: Reaction) -> Result<(), Halted> {
    match reaction {
        Reaction::Continue => Ok(()),
        Reaction::Crash => Err(Halted),
    }
}
