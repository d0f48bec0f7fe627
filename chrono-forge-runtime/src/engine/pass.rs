//! One execution of a body: what it was told, what it asked for, what it wants written.
//!
//! A pass is a value that a driver moves: operations register and wait for their turn, the ledger
//! decides what may happen next ([`Ledger::next_move`]), the driver polls the body. Nothing here
//! does I/O but handing plans to the commit pipeline.

mod attempt;
mod delta;
mod draft;
mod entries;
mod failure;
mod history;
mod ledger;
mod operation;
mod order;
mod repeat;
mod rest;
mod seats;
mod spawn;
mod turn;
mod unclaimed;
mod waker;

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Context as TaskContext;

use jiff::Timestamp;

use crate::commit::PlanSink;
use crate::engine::executor;
use crate::engine::host::Host;
use crate::engine::liveness::runtime::Polling;
use crate::engine::panics;
use crate::error::DefinitionError;
use crate::record::{ClaimedRun, Fence, Json, PlanOutcome, Verdict};
use crate::retry::{RetryPolicies, RetryPolicy};

pub use attempt::Active;
pub use failure::{Failure, Thrown};
pub use history::History;
pub use ledger::{Delta, Ledger, Move};
pub use operation::{Kind, OpId, Outcome, Place, Turn, WaitUntil};
pub use spawn::Child;
pub use turn::Sight;
pub use waker::{RootWaker, StepWaker};

/// A pass, shared by its driver, its operations and the commit thread.
pub struct Pass {
    pub run: ClaimedRun,
    pub host: Arc<Host>,
    pub root: Arc<RootWaker>,
    pub polling: Polling,
    ledger: Mutex<Ledger>,
    /// Whether an attempt has read an entry of the context to update it.
    updates: AtomicBool,
    /// What the workflow's `retry` gave, if it has one; asked at the first failure.
    policies: OnceLock<Option<RetryPolicies>>,
}

/// The policy of a step and of a branch block that no `retry` speaks about.
static STEP: RetryPolicies = RetryPolicies::one(RetryPolicy::new());

/// The policy of a body that no `retry` speaks about.
static BODY: RetryPolicies = RetryPolicies::one(RetryPolicy::workflow());

thread_local! {
    /// The pass whose body this thread is polling, so that handles and `forge` calls made inside a
    /// body know where they are.
    static CURRENT: RefCell<Option<Arc<Pass>>> = const { RefCell::new(None) };
}

impl Pass {
    /// A pass over a run that this worker holds.
    #[must_use]
    pub fn new(run: ClaimedRun, host: Arc<Host>) -> Arc<Self> {
        let fence = Fence {
            run: run.id,
            worker: host.worker(),
            epoch: run.epoch,
        };
        let ledger = Ledger::new(fence, &run);
        Arc::new(Self {
            run,
            host,
            root: Arc::new(RootWaker::default()),
            polling: Polling::default(),
            ledger: Mutex::new(ledger),
            updates: AtomicBool::new(false),
            policies: OnceLock::new(),
        })
    }

    /// The pass that this thread is polling.
    #[must_use]
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Runs `f` with this pass as the current one.
    pub fn scope<T>(self: &Arc<Self>, f: impl FnOnce() -> T) -> T {
        struct Restore(Option<Arc<Pass>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(Arc::clone(self))));
        f()
    }

    /// What of it is being polled just now, by name.
    pub fn polled_place(&self) -> String {
        let ledger = self.ledger();
        let op = ledger.active.and_then(|op| ledger.ops.get(&op));
        op.map_or_else(|| "the body".to_owned(), |op| op.place.to_string())
    }

    /// Whether nothing of the run was ever recorded, nor is about to be.
    pub fn is_untouched(&self) -> bool {
        let ledger = self.ledger();
        ledger.history.is_empty() && ledger.ops.is_empty()
    }

    /// The records of steps and ticks whose attempts are under way.
    pub fn executing(&self) -> Vec<Arc<str>> {
        let ledger = self.ledger();
        let executing = ledger.ops.values().filter(|op| op.is_executing());
        executing.map(|op| Arc::clone(&op.step_name)).collect()
    }

    /// The instant that this pass takes for now. After a clock was set back it may be before its run was created:
    /// spans that begin now are measured by the clock that shows when they are over.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.host.clock.now()
    }

    /// The policies of a step that names none: its workflow's, or the default. Runs user code.
    pub fn step_policies(&self) -> &RetryPolicies {
        self.policies().unwrap_or(&STEP)
    }

    /// The policies of the body: its workflow's, or the default. Runs user code.
    pub fn body_policies(&self) -> &RetryPolicies {
        self.policies().unwrap_or(&BODY)
    }

    fn policies(&self) -> Option<&RetryPolicies> {
        let made = self.policies.get_or_init(|| {
            let definition = self.host.registry.get(&self.run.workflow)?;
            definition.retry.map(|policies| policies())
        });
        made.as_ref()
    }

    /// The state that the pass keeps.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A panic of user code never happens under this lock: bodies are polled without it.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what the driver does next.
    pub fn next_move(self: &Arc<Self>, sight: Sight<'_>) -> Move {
        let mut ledger = self.ledger();
        let next = ledger.next_move(sight);
        // What the body receives without a pause between is more than one transaction should carry.
        if ledger.drafted_bytes() >= self.host.config.batch.bytes_max {
            self.flush_now(&mut ledger);
        }
        let wakers = std::mem::take(&mut ledger.to_wake);
        self.tell(ledger);
        for waker in wakers {
            waker.wake();
        }
        next
    }

    /// Lets go of the ledger, then tells what it has collected: a subscriber may be slow.
    fn tell(&self, mut ledger: MutexGuard<'_, Ledger>) {
        let tidings = std::mem::take(&mut ledger.tidings);
        drop(ledger);
        for tiding in tidings {
            self.host.report.tell(&self.run, tiding);
        }
    }

    /// Ends the run for a broken rule: no operation completes any more.
    pub fn break_rule(&self, error: DefinitionError) {
        self.ledger().break_rule(error);
        self.root.signal();
    }

    /// Sends the draft to the commit pipeline, if it writes anything.
    pub fn flush(self: &Arc<Self>) {
        self.flush_now(&mut self.ledger());
    }

    /// As [`Pass::flush`], under a lock that is already held; answers the newest submission.
    pub fn flush_now(self: &Arc<Self>, ledger: &mut Ledger) -> u64 {
        if ledger.refused {
            ledger.drop_unconcluded();
        }
        if let Some((plan, number)) = ledger.take_draft() {
            let sink: Arc<dyn PlanSink> = Arc::clone(self) as _;
            let (committer, urgent) = (self.host.committer(), ledger.urgent);
            if ledger.refused {
                committer.submit_after_refusal(plan, number, urgent, sink);
            } else {
                committer.submit(plan, number, urgent, sink);
            }
        }
        ledger.submitted
    }

    /// Waits until a submission is durable: `true` once it is, else registers the task.
    pub fn poll_acked(&self, number: u64, cx: &TaskContext<'_>) -> bool {
        let mut ledger = self.ledger();
        if ledger.acked >= number {
            return true;
        }
        ledger.await_ack(cx);
        false
    }

    /// Nobody waits for a plan of this pass any more. Such a waker may keep the pass itself, which
    /// would then keep each other for good.
    pub fn forget_waiters(&self) {
        let waiters = std::mem::take(&mut self.ledger().ack_waiters);
        drop(waiters);
    }

    /// Keeps the pass from releasing outcomes while a read of the engine's own is under way, and lets it
    /// poll the body once more before it does: what follows the read registers before anything with a
    /// later place is delivered.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.ledger().holds += 1;
        Hold(Arc::clone(self))
    }

    /// A wake-up arrived while the pass runs.
    pub fn wake(&self) {
        self.ledger().woken = true;
        self.root.signal();
    }

    /// The lease is no longer in doubt: what was kept from beginning looks again.
    pub fn trusted_again(&self) {
        let waiters = std::mem::take(&mut self.ledger().ack_waiters);
        for waiter in waiters {
            waiter.wake();
        }
        self.root.signal();
    }

    /// The run was taken away: nothing of this pass is written any more.
    pub fn lose(&self) {
        self.ledger().lost = true;
        self.root.signal();
    }

    /// The engine wants its slots back: park at the next durable point.
    pub fn drain(&self) {
        self.ledger().draining = true;
        self.root.signal();
    }

    /// Whether a value fits the configured limit.
    pub fn check_size(
        &self,
        place: impl FnOnce() -> String,
        json: &Json,
    ) -> Result<(), DefinitionError> {
        let limit = self.host.config.payload_bytes_max;
        if json.len() <= limit {
            return Ok(());
        }
        Err(DefinitionError::TooLarge {
            place: place(),
            bytes: json.len(),
            limit,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // The last one to let go of a pass may be a commit thread; predicates own what they captured.
        if let Some(policies) = self.policies.take() {
            panics::discard(policies);
        }
    }
}

/// See [`Pass::hold`].
pub struct Hold(Arc<Pass>);

impl Drop for Hold {
    fn drop(&mut self) {
        let mut ledger = self.0.ledger();
        ledger.holds -= 1;
        ledger.landed = true;
        drop(ledger);
        self.0.root.signal();
    }
}

impl PlanSink for Pass {
    fn settled(self: Arc<Self>, through: u64, outcome: PlanOutcome) {
        let mut ledger = self.ledger();
        ledger.acked = ledger.acked.max(through);
        let durable = matches!(outcome.verdict, Verdict::Applied { .. });
        match outcome.verdict {
            Verdict::Applied { woken } => ledger.woken |= woken,
            Verdict::Fenced => ledger.lost = true,
            Verdict::Refused { error } => {
                ledger.refused = true;
                self.host.failpoints.reach("refusal");
                ledger.break_rule(DefinitionError::Refused { problem: error });
            }
        }
        let untold = ledger.untold_refusal();
        let ended = ledger.ended.is_some_and(|number| number <= through);
        let ended_as = ledger.ended_as.take_if(|_| ended && durable);
        let wake_at = ledger.wake_at;
        let reserved = ledger.take_reservations(through);
        let waiters = std::mem::take(&mut ledger.ack_waiters);
        drop(ledger);
        self.host.accept_children(reserved, outcome.claimed);
        if let Some(ended) = ended_as {
            self.host.report.ended(&self.run, &ended);
        }
        if ended {
            self.host.pass_ended(&self.run, durable);
            if let Some(at) = wake_at.filter(|_| durable) {
                self.host.alarm.bring_forward(at);
            }
        }
        for waiter in waiters {
            waiter.wake();
        }
        self.root.signal();
        if let Some(error) = untold {
            let held = self.host.holdings.passes(&[self.run.id]);
            for pass in held.iter().filter(|pass| pass.run.epoch == self.run.epoch) {
                executor::broken(pass, &error, self.now());
            }
        }
    }
}
