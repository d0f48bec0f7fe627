//! `repeat!`: a periodic task that catches up.
//!
//! Before each tick `until` is evaluated; true ends the repeat. Ticks stand on a grid that is fixed at
//! the start, so lateness never moves it; ticks that are late by less than the timeout run one after
//! the other, those that are later are skipped together. Idempotency: the end of a tick and the new
//! frontier are one commit, so a tick that is over never runs again; one that was cut off before that
//! may. Retry: each tick has the step's policy and a budget of its own; `until` has the same policy.
//! Rows: `repeat$<key>`, pending with the frontier until the end; `repeat$<key>$<unix seconds>` for each
//! tick that began, and one for each skipped stretch.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use jiff::Timestamp;

use super::operation::Operation;
use super::runner::{AttemptFuture, Attempted, MakeAttempt, Runner};
use super::step::{attempt_failed, judge, step_error};
use super::{Context, Key};
use crate::engine::pass::{Kind, OpId, Pass, Thrown, Turn};
use crate::engine::repeat::{OnError, Repeat as Course};
use crate::error::{DefinitionError, StepError};
use crate::record::RecordState;
use crate::retry::RetryPolicies;
use crate::schedule::{Every, Interval, Schedule, ScheduleError};

/// How late a tick may begin, unless set.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// Options of a `repeat!`.
#[derive(Clone, Debug)]
pub struct RepeatOptions {
    grid: Grid,
    zone: Option<String>,
    start_at: Option<Timestamp>,
    timeout: Duration,
    on_error: OnError,
    retry: Option<RetryPolicies>,
}

#[derive(Clone, Debug)]
enum Grid {
    None,
    Every(Every),
    Cron(String),
}

impl Default for RepeatOptions {
    fn default() -> Self {
        Self {
            grid: Grid::None,
            zone: None,
            start_at: None,
            timeout: TIMEOUT,
            on_error: OnError::Continue,
            retry: None,
        }
    }
}

impl RepeatOptions {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The macro sees to it that there is one of `every` and `cron`.
    #[must_use]
    pub fn every(mut self, every: impl Interval) -> Self {
        self.grid = Grid::Every(every.interval());
        self
    }

    #[must_use]
    pub fn cron(mut self, pattern: impl Into<String>) -> Self {
        self.grid = Grid::Cron(pattern.into());
        self
    }

    #[must_use]
    pub fn zone(mut self, name: impl Into<String>) -> Self {
        self.zone = Some(name.into());
        self
    }

    #[must_use]
    pub fn start_at(mut self, instant: impl Into<Timestamp>) -> Self {
        self.start_at = Some(instant.into());
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    #[must_use]
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    #[must_use]
    pub fn retry(mut self, policies: impl Into<RetryPolicies>) -> Self {
        self.retry = Some(policies.into());
        self
    }

    fn course(&self) -> Result<Course, String> {
        if self.timeout.is_zero() {
            return Err(
                "a timeout of nothing skips every tick, since each begins a little late; \
                        say how late one may begin"
                    .to_owned(),
            );
        }
        let schedule = self.schedule().map_err(|error| error.to_string())?;
        Ok(Course {
            schedule,
            start_at: self.start_at.map(crate::clock::ceil_to_micros),
            timeout: self.timeout,
            on_error: self.on_error,
        })
    }

    fn schedule(&self) -> Result<Schedule, ScheduleError> {
        let zone = self.zone.as_deref();
        match &self.grid {
            Grid::None => Schedule::every(Every::from(Duration::ZERO), zone),
            Grid::Every(every) => Schedule::every(*every, zone),
            Grid::Cron(pattern) => Schedule::cron(pattern, zone),
        }
    }
}

/// The future of a `repeat!`.
#[must_use = "a repeat does nothing until it is awaited"]
pub struct Repeat<'a> {
    until: Runner<'a>,
    body: Runner<'a>,
    op: Operation,
    /// `None`: the workflow's, or the default.
    retry: Option<RetryPolicies>,
    /// Why the schedule cannot be; told at the first poll.
    problem: Option<String>,
    _run: PhantomData<&'a Context>,
}

/// What `repeat!` expands to.
pub fn repeat<'a, U, UFut, UE, B, BFut, T, BE>(
    cx: &'a Context,
    key: Key,
    options: RepeatOptions,
    until: U,
    body: B,
) -> Repeat<'a>
where
    U: Fn() -> UFut + Send + 'a,
    UFut: Future<Output = Result<bool, UE>> + Send + 'a,
    UE: Into<anyhow::Error> + 'static,
    B: Fn() -> BFut + Send + 'a,
    BFut: Future<Output = Result<T, BE>> + Send + 'a,
    BE: Into<anyhow::Error> + 'static,
{
    let until: MakeAttempt<'a> = Box::new(move || -> AttemptFuture<'a> {
        let evaluation = until();
        Box::pin(async move {
            match evaluation.await {
                Ok(answer) => Attempted::Answer(answer),
                Err(error) => Attempted::Failed(Thrown::typed(error)),
            }
        })
    });
    let body: MakeAttempt<'a> = Box::new(move || -> AttemptFuture<'a> {
        let attempt = body();
        Box::pin(async move {
            match attempt.await {
                // What a tick came to is in its row and in what it wrote, not in a value.
                Ok(_) => Attempted::Answer(true),
                Err(error) => Attempted::Failed(Thrown::typed(error)),
            }
        })
    });
    let (kind, problem) = match options.course() {
        Ok(course) => (Kind::Repeat(Arc::new(course)), None),
        // It breaks its rule at the first poll and so never registers as this.
        Err(problem) => (Kind::Gate { timeout: None }, Some(problem)),
    };
    Repeat {
        op: Operation::new(&cx.pass, "repeat", key.0, kind),
        until: Runner::new(until),
        body: Runner::new(body),
        retry: options.retry,
        problem,
        _run: PhantomData,
    }
}

/// The scheduled instant of the tick whose body is being polled.
pub fn tick() -> Timestamp {
    let tick = Pass::current().and_then(|pass| pass.active_tick());
    #[allow(
        clippy::expect_used,
        reason = "generated code calls it at the first poll of a tick's body and nowhere else"
    )]
    tick.expect("a tick is under way")
}

impl Repeat<'_> {
    fn execute(&mut self, cx: &TaskContext<'_>) {
        let Some(id) = self.op.id() else { return };
        match self.op.pass.due_tick(id) {
            None => self.look(id, cx),
            Some(_) => self.run(id, cx),
        }
    }

    fn look(&mut self, id: OpId, cx: &TaskContext<'_>) {
        let Poll::Ready(attempted) = self.until.poll(&self.op, id, cx) else {
            return;
        };
        match attempted {
            Attempted::Answer(is_over) => self.op.pass.until_answered(id, is_over),
            Attempted::Failed(thrown) => attempt_failed(&self.op, id, thrown, self.retry.as_ref()),
            Attempted::Broken(error) => self.op.break_rule(error),
            Attempted::Value(_) => {}
        }
    }

    fn run(&mut self, id: OpId, cx: &TaskContext<'_>) {
        let Poll::Ready(attempted) = self.body.poll(&self.op, id, cx) else {
            return;
        };
        match attempted {
            Attempted::Answer(_) => self.op.pass.tick_completed(id),
            Attempted::Failed(thrown) => self.tick_failed(id, thrown),
            Attempted::Broken(error) => self.op.break_rule(error),
            Attempted::Value(_) => {}
        }
    }

    fn tick_failed(&self, id: OpId, thrown: Thrown) {
        let mut counts = self.op.pass.tick_counts(id);
        let policies = || {
            let own = self.retry.as_ref();
            own.unwrap_or_else(|| self.op.pass.step_policies())
        };
        let (failure, decision) = {
            let _active = self.op.pass.enter(id);
            judge(thrown, policies, &mut counts)
        };
        self.op.pass.tick_failed(id, failure, decision, counts);
    }
}

impl Future for Repeat<'_> {
    type Output = Result<(), StepError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(problem) = this.problem.take() {
            let place = this.op.place.to_string();
            this.op
                .break_rule(DefinitionError::BadSchedule { place, problem });
            return Poll::Pending;
        }
        match this.op.turn(cx) {
            Turn::Execute => {
                this.execute(cx);
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
