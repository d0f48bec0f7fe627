//! The commit pipeline: the only writer of run state while passes run.
//!
//! All writes of all passes of a process go through a queue to a thread, which applies as many as are
//! waiting in one transaction and then acknowledges them. Under load that costs a few hundredths of a
//! commit per step; when idle, one commit. How many such threads there are, the database decides.
//!
//! What an acknowledgement means: the plan, and every plan that this pass submitted before it, is
//! durable. What it never means: that other passes' plans are.

mod aside;
mod batch;
mod desk;
mod lanes;
mod patience;
mod pipeline;
mod queue;
mod reply;
mod threads;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::failpoint::Failpoints;
use crate::record::{Plan, PlanOutcome, RunId};
use crate::store::{
    Applied, RunAnswer, RunCall, Start, Started, Store, StoreError, StoreErrorKind, StoreResult,
    Writer,
};

use desk::Surroundings;
use queue::{Call, Queue, Submission, Work};
use reply::Reply;
use threads::Queues;

/// Told what became of a pass's plans.
pub trait PlanSink: Send + Sync {
    /// Every plan up to number `through` is settled; `outcome` is that of the fold they were in. Calls
    /// for one pass may come out of order.
    fn settled(self: Arc<Self>, through: u64, outcome: PlanOutcome);
}

/// Told what a transaction did to runs beyond those that wrote in it.
pub trait CommitObserver: Send + Sync {
    /// On the commit thread, before its next transaction: what became of these plans. Children that were
    /// inserted already claimed should be known to memory soon, since heartbeats compare.
    fn committed(&self, plans: &[Plan], applied: &Applied);

    /// On a commit thread that ends: nothing helps against this while the engine lives.
    fn stopped(&self, reason: &StoreError) {
        let _ = reason;
    }

    /// A commit thread panicked: nothing is written any more, by any of them.
    fn died(&self, panic: Box<dyn Any + Send>);
}

/// Bounds of one transaction, and of how long one that failed is left alone.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Runs per transaction.
    pub plans_max: usize,
    /// Payload bytes per transaction.
    pub bytes_max: usize,
    /// A plan with more payload than this travels alone.
    pub alone_bytes: usize,
    /// A plan that is set aside is tried again after this at the latest.
    pub pause_max: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            plans_max: 1_000,
            bytes_max: 8 << 20,
            alone_bytes: 1 << 20,
            pause_max: Duration::from_secs(5),
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
    queues: Queues,
}

impl Committer {
    /// Starts the commit threads over writers of this store; fewer for a process that executes nothing.
    /// Blocks while they connect.
    pub fn open(
        store: &Arc<dyn Store>,
        executes: bool,
        limits: BatchLimits,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn CommitObserver>,
        failpoints: Arc<Failpoints>,
        runtime: &tokio::runtime::Handle,
    ) -> StoreResult<(Self, Vec<JoinHandle<()>>)> {
        let surround = |queues, aside, patience| Surroundings {
            clock,
            observer,
            failpoints,
            queues,
            aside,
            patience,
        };
        let (queues, threads) = threads::start(store, executes, limits, surround, runtime)?;
        Ok((Self { queues }, threads))
    }

    /// Queues a plan. `number` grows with each plan of one pass; all of them are urgent, or none is.
    /// Urgent ones pass the others by.
    pub fn submit(&self, plan: Plan, number: u64, urgent: bool, sink: Arc<dyn PlanSink>) {
        self.push(Submission {
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
        self.push(Submission {
            plan,
            number,
            sink,
            after_refusal: true,
            urgent,
        });
    }

    fn push(&self, submission: Submission) {
        let queue = self.queues.of_run(submission.plan.fence.run);
        queue.push_plan(submission);
    }

    /// Inserts a top-level run; starts that wait together share a transaction.
    ///
    /// `on_started` runs on the commit thread with what was inserted, before its next transaction.
    pub async fn start(
        &self,
        start: Start,
        on_started: impl FnOnce(&mut Started) + Send + 'static,
    ) -> StoreResult<Started> {
        let (reply, answer) = Reply::new();
        let queue = self.queues.of_start(&start);
        queue.push_start(
            start,
            Box::new(move |mut started| {
                if let Ok(started) = &mut started {
                    on_started(started);
                }
                // The caller may be gone; the run is started all the same.
                reply.send(started);
            }),
        );
        answer.await.unwrap_or_else(|_| Err(closed("start")))
    }

    /// Runs a write of its own. It waits for no batch where writers work beside each other;
    /// elsewhere it goes between two batches, ahead of plans that wait. If it needs what somebody
    /// else has locked it is done again elsewhere, so that other calls need not wait for that.
    pub async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut dyn Writer) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (call, answer) = call(name, work);
        self.queues.control().push_call(call);
        answer.await.unwrap_or_else(|_| Err(closed(name)))
    }

    /// Asks something of a run. What is asked of several at once shares a transaction.
    ///
    /// `on_answer` runs on the commit thread, since the caller may be gone by then.
    pub async fn call_run(
        &self,
        call: RunCall,
        on_answer: impl FnOnce(&RunAnswer) + Send + 'static,
    ) -> StoreResult<RunAnswer> {
        let name = call.name();
        let (reply, answer) = Reply::new();
        let reply = move |answered: StoreResult<RunAnswer>| {
            if let Ok(answer) = &answered {
                on_answer(answer);
            }
            reply.send(answered);
        };
        self.queues.control().push_of_run(call, Box::new(reply));
        answer.await.unwrap_or_else(|_| Err(closed(name)))
    }

    /// As [`Committer::call`], for what keeps the worker alive: it passes other calls by, and where writers work
    /// beside each other it does not wait for the one that is under way either.
    pub async fn call_alive<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut dyn Writer) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (call, answer) = call(name, work);
        self.queues.liveness().push_alive(call);
        answer.await.unwrap_or_else(|_| Err(closed(name)))
    }

    /// As [`Committer::call_alive`], for a thread that depends on no runtime. Blocks.
    pub fn call_alive_blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnMut(&mut dyn Writer) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let (call, answer) = call(name, work);
        self.queues.liveness().push_alive(call);
        answer.blocking_recv().unwrap_or_else(|_| Err(closed(name)))
    }

    /// Waits until every plan and start that was queued until now is written.
    pub async fn written(&self) {
        let emptied: Vec<_> = self.queues.plans().map(Queue::emptied).collect();
        for queue in emptied {
            // After a halt nothing will be written any more.
            let _ = queue.await;
        }
        let _ = self.queues.aside().emptied().await;
    }

    /// Why plans of this run, or of any if `None`, are not written until somebody has mended it.
    #[must_use]
    pub fn obstacle(&self, run: Option<RunId>) -> Option<StoreError> {
        match run {
            Some(run) => self.queues.of_run(run).obstacle(),
            None => self.queues.plans().find_map(Queue::obstacle),
        }
    }

    /// Plans that wait for their transaction.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        let sum = |count: fn(&Queue) -> &AtomicUsize| {
            let waiting = self.queues.plans().map(count);
            waiting.map(|count| count.load(Ordering::Relaxed)).sum()
        };
        Backlog {
            urgent: sum(|queue| &queue.urgent),
            // However long they wait, no more runs pile up than these allow; urgent ones go on.
            others: sum(|queue| &queue.others) + self.queues.aside().waiting(),
        }
    }

    /// Transactions committed so far.
    #[must_use]
    pub fn commits(&self) -> u64 {
        let commits = self.queues.all().map(|queue| &queue.commits);
        commits.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Ends the threads once everything queued is written.
    pub fn close(&self) {
        self.queues.all().for_each(Queue::close);
        self.queues.aside().close();
        self.queues.patience().close();
    }

    /// Ends the threads now; what is queued is dropped unacknowledged, as a crash would.
    pub fn halt(&self) {
        self.queues.halt();
    }
}

/// An `open` that was given up while the threads connected leaves them to nobody.
impl Drop for Committer {
    fn drop(&mut self) {
        self.halt();
    }
}

/// A call, and where its answer comes.
fn call<T: Send + 'static>(
    name: &'static str,
    work: impl FnMut(&mut dyn Writer) -> StoreResult<T> + Send + 'static,
) -> (Call, oneshot::Receiver<StoreResult<T>>) {
    let (reply, answer) = Reply::new();
    let work = Box::new(Job {
        work,
        reply: Some(reply),
    });
    (Call { name, work }, answer)
}

struct Job<T: 'static, F> {
    work: F,
    /// Gone once it is answered.
    reply: Option<Reply<StoreResult<T>>>,
}

impl<T, F> Work for Job<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut dyn Writer) -> StoreResult<T> + Send,
{
    fn run(&mut self, writer: &mut dyn Writer, is_last: bool) -> bool {
        let done = (self.work)(writer);
        let is_locked = done.as_ref().is_err_and(StoreError::is_locked);
        if is_locked && !is_last {
            return false;
        }
        if let Some(reply) = self.reply.take() {
            reply.send(done);
        }
        true
    }

    fn refuse(mut self: Box<Self>, error: StoreError) {
        if let Some(reply) = self.reply.take() {
            reply.send(Err(error));
        }
    }
}

fn closed(operation: &'static str) -> StoreError {
    StoreError::new(
        operation,
        StoreErrorKind::Closed,
        "the engine was shut down",
    )
}

#[cfg(feature = "sqlite")]
#[cfg(test)]
mod tests;
