//! `step!`: runs once, records the result; retried on error.
//!
//! Idempotency: a step whose result is recorded never runs again; one that was cut off before that
//! may. Retry: by its policy, every failed attempt is one error row. Row: `step$<key>`, pending while
//! it waits for its next attempt, then completed with the result or failed with the error.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::operation::Operation;
use super::runner::{AttemptFuture, Attempted, Runner};
use super::{Context, Key, codec};
use crate::engine::panics;
use crate::engine::pass::{Failure, Kind, OpId, Outcome, Thrown, Turn};
use crate::error::StepError;
use crate::record::{RecordState, RetryCounts};
use crate::retry::{Decision, RetryPolicies};

/// Options of a `step!`.
#[derive(Clone, Debug, Default)]
pub struct StepOptions {
    retry: Option<RetryPolicies>,
    timeout: Option<Duration>,
}

impl StepOptions {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn retry(mut self, policies: impl Into<RetryPolicies>) -> Self {
        self.retry = Some(policies.into());
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// The future of a `step!`.
#[must_use = "a step does nothing until it is awaited"]
pub struct Step<'a, T> {
    runner: Runner<'a>,
    op: Operation,
    retry: Option<RetryPolicies>,
    timeout: Option<Duration>,
    _value: PhantomData<fn() -> T>,
}

/// What `step!` expands to.
pub fn step<'a, F, Fut, T, E>(
    cx: &'a Context,
    key: Key,
    options: StepOptions,
    body: F,
) -> Step<'a, T>
where
    F: Fn() -> Fut + Send + 'a,
    Fut: Future<Output = Result<T, E>> + Send + 'a,
    T: Serialize + DeserializeOwned + Send + 'a,
    E: Into<anyhow::Error> + 'static,
{
    let name: Arc<str> = key.0.as_str().into();
    let make = move || -> AttemptFuture<'a> {
        let attempt = body();
        let name = Arc::clone(&name);
        Box::pin(async move {
            match attempt.await {
                Ok(value) => match codec::storable(|| format!("step!({name:?})"), &value) {
                    Ok(json) => Attempted::Value(json),
                    Err(error) => Attempted::Broken(error),
                },
                Err(error) => Attempted::Failed(Thrown::typed(error)),
            }
        })
    };
    let timeout = options.timeout;
    Step {
        op: Operation::new(&cx.pass, "step", key.0, Kind::Step { timeout }),
        runner: Runner::new(Box::new(make)),
        retry: options.retry,
        timeout,
        _value: PhantomData,
    }
}

/// Notes a failed attempt; the policies of its call, or else of its workflow, say whether another
/// follows.
pub(super) fn attempt_failed(
    op: &Operation,
    id: OpId,
    thrown: Thrown,
    retry: Option<&RetryPolicies>,
) {
    let mut counts = op.pass.retry_counts(id);
    let policies = || retry.unwrap_or_else(|| op.pass.step_policies());
    let (failure, decision) = {
        let _active = op.pass.enter(id);
        judge(thrown, policies, &mut counts)
    };
    op.pass.fail(id, failure, decision, counts);
}

/// Asks the policies about a failed attempt: the failure with its class, and when to try again. They
/// are user code: where they panic, nothing is tried again.
pub(super) fn judge<'a>(
    thrown: Thrown,
    policies: impl FnOnce() -> &'a RetryPolicies,
    counts: &mut RetryCounts,
) -> (Failure, Decision) {
    let failure = thrown.failure.clone();
    // By reference: what the error's destructor does is no answer of the policy.
    let decided = panics::catch(|| policies().decide(thrown.cause(), counts, fastrand::f64()));
    match decided {
        Ok(decision) => (failure.lent(decision.class), decision),
        Err(panic) => (failure.undecided(panic), Decision::GIVE_UP),
    }
}

/// The recorded error as a value.
pub(super) fn step_error(op: &Operation, outcome: Outcome) -> StepError {
    StepError::new(
        op.place.key.clone(),
        outcome.attempts,
        outcome.class.unwrap_or_default(),
        outcome.message.unwrap_or_default(),
        outcome.is_timeout,
    )
}

impl<T: DeserializeOwned> Step<'_, T> {
    fn execute(&mut self, cx: &TaskContext<'_>) {
        let Some(id) = self.op.id() else { return };
        let Poll::Ready(attempted) = self.runner.poll(&self.op, id, cx) else {
            return;
        };
        match attempted {
            Attempted::Value(json) => {
                match self.op.pass.check_size(|| self.op.place.to_string(), &json) {
                    Ok(()) => self.op.pass.complete(id, Some(json)),
                    Err(error) => self.op.break_rule(error),
                }
            }
            Attempted::Failed(thrown) => attempt_failed(&self.op, id, thrown, self.retry.as_ref()),
            Attempted::Broken(error) => self.op.break_rule(error),
            Attempted::Answer(_) => {}
        }
    }

    fn deliver(&mut self, outcome: Outcome) -> Poll<Result<T, StepError>> {
        if outcome.state == RecordState::Failed {
            return Poll::Ready(Err(step_error(&self.op, outcome)));
        }
        match codec::recall(|| self.op.place.to_string(), outcome.result.as_deref()) {
            Ok(value) => Poll::Ready(Ok(value)),
            Err(error) => {
                self.op.break_rule(error);
                Poll::Pending
            }
        }
    }
}

impl<T: DeserializeOwned> Future for Step<'_, T> {
    type Output = Result<T, StepError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.op.turn(cx) {
            Turn::Pending => Poll::Pending,
            Turn::Execute => {
                this.execute(cx);
                Poll::Pending
            }
            Turn::TimedOut => {
                let dropped = this.runner.cut_off();
                if let Some(id) = this.op.id() {
                    let limit = this.timeout.unwrap_or_default();
                    let message = format!("the attempt did not end within {limit:?}");
                    let thrown = Failure::timeout(message).cut_off(dropped).into();
                    attempt_failed(&this.op, id, thrown, this.retry.as_ref());
                }
                Poll::Pending
            }
            Turn::Deliver(outcome) => this.deliver(outcome),
        }
    }
}
