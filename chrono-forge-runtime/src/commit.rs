//! The commit pipeline: the only writer of run state while passes run.
//!
//! All writes of all passes of a process go through one queue to one thread, which applies as many
//! as are waiting in one transaction and then acknowledges them. Under load that costs a few
//! hundredths of a commit per step; when idle, one commit.
//!
//! What an acknowledgement means: the plan, and every plan that this pass submitted before it, is
//! durable. What it never means: that other passes' plans are.

mod batch;
mod lanes;
mod pipeline;
mod queue;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::failpoint::Failpoints;
use crate::record::{Plan, PlanOutcome};
use crate::store::{Applied, Start, Started, StoreError, StoreErrorKind, StoreResult, Writer};

use queue::{Call, Queue, Submission};

/// Told what became of a pass's plans.
pub trait PlanSink: Send + Sync {
    /// Every plan up to number `through` is settled; `outcome` is that of the fold they were in. Calls
    /// for one pass may come out of order.
    fn settled(self: Arc<Self>, through: u64, outcome: PlanOutcome);
}

/// Told what a transaction did to runs beyond those that wrote in it.
pub trait CommitObserver: Send + Sync {
    /// On the commit thread, before its next transaction: children that were inserted already claimed
    /// must be known to memory before the next heartbeat compares.
    fn committed(&self, applied: &Applied);
}

/// Bounds of one transaction.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Runs per transaction.
    pub plans_max: usize,
    /// Payload bytes per transaction.
    pub bytes_max: usize,
    /// A plan with more payload than this travels alone.
    pub alone_bytes: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            plans_max: 1_000,
            bytes_max: 8 << 20,
            alone_bytes: 1 << 20,
        }
    }
}

/// Plans that wait for their transaction.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Those that pass by the others.
    pub urgent: usize,
    pub others: usize,
}

/// The pipeline's handle: submit and go on.
pub struct Committer {
    queue: Arc<Queue>,
}

impl Committer {
    /// Starts the commit thread over this writer.
    pub fn open(
        writer: Box<dyn Writer>,
        limits: BatchLimits,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn CommitObserver>,
        failpoints: Arc<Failpoints>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let queue = Arc::new(Queue::new(limits));
        let pipeline =
            pipeline::Pipeline::new(Arc::clone(&queue), writer, clock, observer, failpoints);
        let thread = std::thread::Builder::new()
            .name("chrono-forge-commit".into())
            .spawn(move || pipeline.run())?;
        Ok((Self { queue }, thread))
    }

    /// Queues a plan. `number` grows with each plan of one pass; all of them are urgent, or none is.
    /// Urgent ones pass the others by.
    pub fn submit(&self, plan: Plan, number: u64, urgent: bool, sink: Arc<dyn PlanSink>) {
        self.queue.push_plan(Submission {
            plan,
            number,
            sink,
            after_refusal: false,
            urgent,
        });
    }

    /// Queues the plan that fails a run whose bytes were refused; the only plan of that run that
    /// is still written.
    pub fn submit_after_refusal(
        &self,
        plan: Plan,
        number: u64,
        urgent: bool,
        sink: Arc<dyn PlanSink>,
    ) {
        self.queue.push_plan(Submission {
            plan,
            number,
            sink,
            after_refusal: true,
            urgent,
        });
    }

    /// Inserts a top-level run; starts that wait together share a transaction.
    ///
    /// `on_started` runs on the commit thread with what was inserted, so that a claimed run is
    /// known to memory before the next heartbeat compares.
    pub async fn start(
        &self,
        start: Start,
        on_started: impl FnOnce(&mut Started) + Send + 'static,
    ) -> StoreResult<Started> {
        let (reply, answer) = oneshot::channel();
        self.queue.push_start(
            start,
            Box::new(move |mut started| {
                if let Ok(started) = &mut started {
                    on_started(started);
                }
                // The caller may be gone; the run is started all the same.
                let _ = reply.send(started);
            }),
        );
        answer.await.unwrap_or_else(|_| Err(closed("start")))
    }

    /// Runs a write of its own between batches, ahead of waiting plans.
    pub async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut dyn Writer) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (reply, answer) = oneshot::channel();
        let run = move |writer: Option<&mut dyn Writer>| {
            if let Some(writer) = writer {
                let _ = reply.send(work(writer));
            }
        };
        self.queue.push_call(Call {
            name,
            run: Box::new(run),
        });
        answer.await.unwrap_or_else(|_| Err(closed(name)))
    }

    /// Plans that wait for their transaction.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        Backlog {
            urgent: self.queue.urgent.load(Ordering::Relaxed),
            others: self.queue.others.load(Ordering::Relaxed),
        }
    }

    /// Transactions committed so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.queue.commits.load(Ordering::Relaxed)
    }

    /// Ends the thread once everything queued is written.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Ends the thread now; what is queued is dropped unacknowledged, as a crash would.
    pub fn halt(&self) {
        self.queue.halt();
    }
}

fn closed(operation: &'static str) -> StoreError {
    StoreError::new(
        operation,
        StoreErrorKind::Closed,
        "the engine was shut down",
    )
}
