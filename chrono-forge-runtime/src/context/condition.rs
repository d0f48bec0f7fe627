//! `wait_until!` and `continue_if!`: conditions that a run parks for.
//!
//! `wait_until!` evaluates first and then every so often until the condition is true or the timeout
//! has passed; at the deadline it is evaluated once more, and a true condition wins. Rows:
//! `wait_until$<key>`. `continue_if!` evaluates once per wake-up and sets no timer of its own but its
//! timeout. Rows: `continue_if$<key>`. Errors are not retried unless the call says so, and never by
//! the workflow's policy.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use super::operation::Operation;
use super::runner::{AttemptFuture, Attempted, Runner};
use super::step::{attempt_failed, step_error};
use super::{Context, Key};
use crate::engine::pass::{Kind, Thrown, Turn};
use crate::error::StepError;
use crate::record::RecordState;
use crate::retry::{RetryPolicies, RetryPolicy};

/// Options of a `wait_until!`: every 15 minutes for up to an hour, unless set.
#[derive(Clone, Debug)]
pub struct WaitUntilOptions {
    every: Duration,
    timeout: Duration,
    retry: RetryPolicies,
}

impl Default for WaitUntilOptions {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(15 * 60),
            timeout: Duration::from_secs(60 * 60),
            retry: RetryPolicies::one(RetryPolicy::none()),
        }
    }
}

impl WaitUntilOptions {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        // A poll without any pause would never let the run park.
        self.every = every.max(Duration::from_millis(1));
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    #[must_use]
    pub fn retry(mut self, policies: impl Into<RetryPolicies>) -> Self {
        self.retry = policies.into();
        self
    }
}

/// Options of a `continue_if!`: no timeout, unless set.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContinueIfOptions {
    timeout: Option<Duration>,
}

impl ContinueIfOptions {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// The future of a `wait_until!` or `continue_if!`.
#[must_use = "a condition does nothing until it is awaited"]
pub struct Condition<'a> {
    runner: Runner<'a>,
    op: Operation,
    retry: RetryPolicies,
    _run: PhantomData<&'a Context>,
}

/// What `wait_until!` expands to.
pub fn wait_until<'a, F, Fut, E>(
    cx: &'a Context,
    key: Key,
    options: WaitUntilOptions,
    condition: F,
) -> Condition<'a>
where
    F: Fn() -> Fut + Send + 'a,
    Fut: Future<Output = Result<bool, E>> + Send + 'a,
    E: Into<anyhow::Error> + 'static,
{
    let kind = Kind::Poll {
        every: options.every,
        timeout: Some(options.timeout),
    };
    Condition {
        op: Operation::new(&cx.pass, "wait_until", key.0, kind),
        runner: runner(condition),
        retry: options.retry,
        _run: PhantomData,
    }
}

/// What `continue_if!` expands to.
pub fn continue_if<'a, F, Fut, E>(
    cx: &'a Context,
    key: Key,
    options: ContinueIfOptions,
    condition: F,
) -> Condition<'a>
where
    F: Fn() -> Fut + Send + 'a,
    Fut: Future<Output = Result<bool, E>> + Send + 'a,
    E: Into<anyhow::Error> + 'static,
{
    let kind = Kind::Gate {
        timeout: options.timeout,
    };
    Condition {
        op: Operation::new(&cx.pass, "continue_if", key.0, kind),
        runner: runner(condition),
        retry: RetryPolicies::one(RetryPolicy::none()),
        _run: PhantomData,
    }
}

fn runner<'a, F, Fut, E>(condition: F) -> Runner<'a>
where
    F: Fn() -> Fut + Send + 'a,
    Fut: Future<Output = Result<bool, E>> + Send + 'a,
    E: Into<anyhow::Error> + 'static,
{
    Runner::new(Box::new(move || -> AttemptFuture<'a> {
        let evaluation = condition();
        Box::pin(async move {
            match evaluation.await {
                Ok(answer) => Attempted::Answer(answer),
                Err(error) => Attempted::Failed(Thrown::typed(error)),
            }
        })
    }))
}

impl Condition<'_> {
    fn evaluate(&mut self, cx: &TaskContext<'_>) {
        let Some(id) = self.op.id() else { return };
        let Poll::Ready(attempted) = self.runner.poll(&self.op, id, cx) else {
            return;
        };
        match attempted {
            Attempted::Answer(true) => self.op.pass.complete(id, Some("true".into())),
            Attempted::Answer(false) => self.op.pass.not_yet(id),
            Attempted::Failed(thrown) => attempt_failed(&self.op, id, thrown, Some(&self.retry)),
            Attempted::Broken(error) => self.op.break_rule(error),
            Attempted::Value(_) => {}
        }
    }
}

impl Future for Condition<'_> {
    type Output = Result<(), StepError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match this.op.turn(cx) {
            Turn::Execute => {
                this.evaluate(cx);
                Poll::Pending
            }
            Turn::Deliver(outcome) if outcome.state == RecordState::Failed => {
                Poll::Ready(Err(step_error(&this.op, outcome)))
            }
            Turn::Deliver(_) => Poll::Ready(Ok(())),
            Turn::Pending | Turn::TimedOut => Poll::Pending,
        }
    }
}
