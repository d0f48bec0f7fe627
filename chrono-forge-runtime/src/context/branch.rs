//! `branch!`: a durable fan-out.
//!
//! The block dispatches children and ends in a value of handles; when it ends the branch is sealed
//! and the value recorded. Idempotency: a sealed branch never runs its block again; an unsealed one
//! runs it again, and children that exist are found, not doubled. Retry: by the step policy, going
//! on from the cursors. Row: `branch$<name>`, pending while it dispatches, completed when sealed.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::merge::{Join, Merge, merge};
use super::operation::Operation;
use super::runner::{AttemptFuture, Attempted, Runner};
use super::step::attempt_failed;
use super::{Context, Key, codec};
use crate::engine::pass::{Kind, OpId, Outcome, Thrown, Turn};
use crate::error::BranchError;
use crate::record::RecordState;
use crate::retry::{Decision, RetryPolicies};

/// Options of a `branch!`.
#[derive(Clone, Debug, Default)]
pub struct BranchOptions {
    retry: Option<RetryPolicies>,
}

impl BranchOptions {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn retry(mut self, policies: impl Into<RetryPolicies>) -> Self {
        self.retry = Some(policies.into());
        self
    }
}

/// A sealed branch that waits to be merged; `merge!` gives the value of its block.
#[derive(Debug)]
pub struct Branch<R> {
    pub(super) name: String,
    pub(super) value: R,
}

/// The future of a `branch!`.
#[must_use = "a branch does nothing until it is awaited"]
pub struct Dispatching<'a, R> {
    runner: Runner<'a>,
    op: Operation,
    retry: Option<RetryPolicies>,
    /// Whether this attempt has opened its scope.
    open: bool,
    _value: PhantomData<fn() -> R>,
}

/// What `branch!` expands to.
pub fn branch<'a, F, Fut, R>(
    cx: &'a Context,
    key: Key,
    options: BranchOptions,
    block: F,
) -> Dispatching<'a, R>
where
    F: FnOnce() -> Fut + Clone + Send + 'a,
    Fut: Future<Output = Result<R, anyhow::Error>> + Send + 'a,
    R: Serialize + DeserializeOwned + Send + 'a,
{
    let place = format!("branch!({:?})", key.0);
    let make = move || -> AttemptFuture<'a> {
        let attempt = block.clone()();
        let place = place.clone();
        Box::pin(async move {
            match attempt.await {
                Ok(value) => match codec::storable(|| place.clone(), &value) {
                    Ok(json) => Attempted::Value(json),
                    Err(error) => Attempted::Broken(error),
                },
                Err(error) => Attempted::Failed(Thrown::typed(error)),
            }
        })
    };
    Dispatching {
        op: Operation::new(&cx.pass, "branch", key.0, Kind::Branch),
        runner: Runner::new(Box::new(make)),
        retry: options.retry,
        open: false,
        _value: PhantomData,
    }
}

impl<R: DeserializeOwned> Dispatching<'_, R> {
    fn execute(&mut self, id: OpId, cx: &TaskContext<'_>) {
        if !std::mem::replace(&mut self.open, true) {
            self.op.pass.open_scope(id);
        }
        let polled = self.runner.poll(&self.op, id, cx);
        if let Some(error) = self.op.pass.scope_error(id) {
            // A closure or source of a `spawn_each!` failed; its future waits for ever.
            let dropped = self.runner.cut_off();
            self.open = false;
            let mut thrown = {
                let _active = self.op.pass.enter(id);
                Thrown::typed(error)
            };
            thrown.failure = thrown.failure.cut_off(dropped);
            return self.failed(id, thrown);
        }
        let Poll::Ready(attempted) = polled else {
            return;
        };
        self.open = false;
        match attempted {
            Attempted::Value(json) => {
                match self.op.pass.check_size(|| self.op.place.to_string(), &json) {
                    Ok(()) => self.op.pass.complete(id, Some(json)),
                    Err(error) => self.op.break_rule(error),
                }
            }
            Attempted::Failed(thrown) => self.failed(id, thrown),
            Attempted::Broken(error) => self.op.break_rule(error),
            Attempted::Answer(_) => {}
        }
    }

    /// A step in the block that gave up gives the same failure to every further attempt.
    fn failed(&self, id: OpId, thrown: Thrown) {
        if thrown.failure.is_recorded {
            let counts = self.op.pass.retry_counts(id);
            let failure = thrown.failure.clone();
            let active = self.op.pass.enter(id);
            drop(thrown);
            drop(active);
            return self.op.pass.fail(id, failure, Decision::GIVE_UP, counts);
        }
        attempt_failed(&self.op, id, thrown, self.retry.as_ref());
    }

    fn deliver(&mut self, outcome: Outcome) -> Poll<Result<Branch<R>, BranchError>> {
        let name = self.op.place.key.clone();
        if outcome.state == RecordState::Failed {
            return Poll::Ready(Err(BranchError::new(
                name,
                outcome.attempts,
                outcome.class.unwrap_or_default(),
                outcome.message.unwrap_or_default(),
            )));
        }
        match codec::recall(|| self.op.place.to_string(), outcome.result.as_deref()) {
            Ok(value) => Poll::Ready(Ok(Branch { name, value })),
            Err(error) => {
                self.op.break_rule(error);
                Poll::Pending
            }
        }
    }
}

impl<R: DeserializeOwned> Future for Dispatching<'_, R> {
    type Output = Result<Branch<R>, BranchError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.op.turn(cx) {
            Turn::Execute => {
                if let Some(id) = this.op.id() {
                    this.execute(id, cx);
                }
                Poll::Pending
            }
            Turn::Deliver(outcome) => this.deliver(outcome),
            Turn::Pending | Turn::TimedOut => Poll::Pending,
        }
    }
}

/// The future of a `branch!` with `automerge = true`: dispatches, then joins.
#[must_use = "a branch does nothing until it is awaited"]
pub struct Automerge<'a, R> {
    cx: &'a Context,
    stage: Stage<'a, R>,
}

enum Stage<'a, R> {
    Dispatching(Dispatching<'a, R>),
    Joining(Merge<'a, R>),
}

/// What `branch!(.., automerge = true, ..)` expands to.
pub fn branch_automerge<'a, F, Fut, R>(
    cx: &'a Context,
    key: Key,
    options: BranchOptions,
    block: F,
) -> Automerge<'a, R>
where
    F: FnOnce() -> Fut + Clone + Send + 'a,
    Fut: Future<Output = Result<R, anyhow::Error>> + Send + 'a,
    R: Serialize + DeserializeOwned + Send + 'a,
{
    Automerge {
        cx,
        stage: Stage::Dispatching(branch(cx, key, options, block)),
    }
}

impl<'a, R: DeserializeOwned + Send + 'a> Future for Automerge<'a, R>
where
    Branch<R>: Join<Output = R>,
{
    type Output = Result<R, BranchError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.stage {
                Stage::Dispatching(dispatching) => match Pin::new(dispatching).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(branch)) => this.stage = Stage::Joining(merge(this.cx, branch)),
                },
                Stage::Joining(joining) => {
                    return match Pin::new(joining).poll(cx) {
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(Ok(value)) => Poll::Ready(Ok(value)),
                        Poll::Ready(Err(error)) => Poll::Ready(Err(BranchError::new(
                            String::new(),
                            1,
                            std::any::type_name_of_val(&error).to_owned(),
                            error.to_string(),
                        ))),
                    };
                }
            }
        }
    }
}
