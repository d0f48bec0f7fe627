//! Runs user code as attempts: polled under a waker of its own, panics caught, time limited.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use tracing::Span;

use super::operation::Operation;
use crate::engine::panics;
use crate::engine::pass::{Failure, OpId, StepWaker, Thrown};
use crate::engine::report;
use crate::error::{ContextError, DefinitionError};
use crate::failpoint::Reaction;
use crate::record::Json;

/// What one attempt came to.
pub(super) enum Attempted {
    /// A value, encoded.
    Value(Json),
    /// A condition's answer.
    Answer(bool),
    /// The user's code failed.
    Failed(Thrown),
    /// The value broke a rule.
    Broken(DefinitionError),
}

pub(super) type AttemptFuture<'a> = Pin<Box<dyn Future<Output = Attempted> + Send + 'a>>;

/// Makes a future for each attempt.
pub(super) type MakeAttempt<'a> = Box<dyn Fn() -> AttemptFuture<'a> + Send + 'a>;

/// The attempt that is under way, if one is. It stands before its operation in whoever has both, so that it
/// is dropped while its operation still has its seat.
pub(super) struct Runner<'a> {
    make: MakeAttempt<'a>,
    attempt: Option<Attempt<'a>>,
}

/// A future of the user's, and under what it is polled.
struct Attempt<'a> {
    future: Option<AttemptFuture<'a>>,
    waker: Waker,
    remembering: Arc<StepWaker>,
    /// What the user's code logs is told apart by it; none where nobody listens.
    span: Span,
}

impl Attempt<'_> {
    /// Drops the future. Its destructors are user code of the attempt, whoever cuts it off: what they write
    /// to the context is the attempt's, and their panic does not go on into the body.
    fn end(&mut self) -> Result<(), Failure> {
        let Some(future) = self.future.take() else {
            return Ok(());
        };
        let _active = self.remembering.enter();
        let _within = self.span.enter();
        panics::catch(move || drop(future))
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        // Of one that loses a race, or is cut off by a park, nothing is kept: it may be made again.
        let _ = self.end();
    }
}

impl<'a> Runner<'a> {
    pub(super) fn new(make: MakeAttempt<'a>) -> Self {
        Self {
            make,
            attempt: None,
        }
    }

    /// Drops the attempt under way; fails if its destructors panic.
    pub(super) fn cut_off(&mut self) -> Result<(), Failure> {
        self.attempt.take().map_or(Ok(()), |mut it| it.end())
    }

    /// Polls the attempt, beginning one if none is under way.
    pub(super) fn poll(
        &mut self,
        op: &Operation,
        id: OpId,
        cx: &TaskContext<'_>,
    ) -> Poll<Attempted> {
        if self.attempt.is_none() {
            if !passes(op, "step.before") {
                return Poll::Pending;
            }
            // The last look before the effect: the body before it may have taken its time, or the process
            // may have been stopped.
            if !op.pass.host.is_trusted() {
                op.pass.postpone(id);
                return Poll::Pending;
            }
        }
        let polled = self.poll_guarded(op, id, cx);
        let attempted = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(attempted)) => Ok(attempted),
            Err(failure) => Err(failure),
        };
        let dropped = self.cut_off();
        let attempted = match (attempted, dropped) {
            (Err(failure), _) => return Poll::Ready(Attempted::Failed(failure.into())),
            (Ok(attempted @ (Attempted::Failed(_) | Attempted::Broken(_))), _) => attempted,
            // As if they had panicked in its last poll.
            (Ok(_), Err(panic)) => Attempted::Failed(panic.into()),
            (Ok(attempted), Ok(())) => unless_changed(op, id, attempted),
        };
        if !passes(op, "step.after") {
            return Poll::Pending;
        }
        Poll::Ready(attempted)
    }

    fn poll_guarded(
        &mut self,
        op: &Operation,
        id: OpId,
        cx: &TaskContext<'_>,
    ) -> Result<Poll<Attempted>, Failure> {
        let _active = op.pass.enter(id);
        if self.attempt.is_none() {
            let span = report::attempt(&op.pass, id, &op.place);
            let future = span.in_scope(|| panics::catch(|| (self.make)()))?;
            let remembering = StepWaker::new(Arc::clone(&op.pass), id);
            self.attempt = Some(Attempt {
                future: Some(future),
                waker: Waker::from(Arc::clone(&remembering)),
                remembering,
                span,
            });
        }
        let Some(attempt) = &mut self.attempt else {
            return Ok(Poll::Pending);
        };
        let Some(future) = &mut attempt.future else {
            return Ok(Poll::Pending);
        };
        attempt.remembering.polled_with(cx.waker());
        let mut cx = TaskContext::from_waker(&attempt.waker);
        let _within = attempt.span.enter();
        panics::catch(|| future.as_mut().poll(&mut cx))
    }
}

/// Whether the failpoint lets the attempt go on; if not, the process is taken for dead.
fn passes(op: &Operation, place: &'static str) -> bool {
    match op.pass.host.failpoints.step_body(place, &op.place.key) {
        Reaction::Continue => true,
        Reaction::Crash => {
            op.pass.host.crash();
            false
        }
    }
}

/// What an attempt made of an entry of the context does not count if another operation has changed
/// the entry meanwhile: one of the two would be lost.
fn unless_changed(op: &Operation, id: OpId, attempted: Attempted) -> Attempted {
    if matches!(attempted, Attempted::Answer(false)) {
        return attempted;
    }
    match op.pass.reject_changed(id) {
        Some(key) => Attempted::Failed(Thrown::typed(ContextError::Changed { key })),
        None => attempted,
    }
}
