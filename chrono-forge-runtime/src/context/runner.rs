//! Runs user code as attempts: polled under a waker of its own, panics caught, time limited.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use super::operation::Operation;
use crate::engine::panics;
use crate::engine::pass::{Failure, OpId, StepWaker, Thrown};
use crate::error::DefinitionError;
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

/// The attempt that is under way, if one is.
pub(super) struct Runner<'a> {
    make: MakeAttempt<'a>,
    attempt: Option<(AttemptFuture<'a>, Waker, Arc<StepWaker>)>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(make: MakeAttempt<'a>) -> Self {
        Self {
            make,
            attempt: None,
        }
    }

    /// Drops the attempt under way.
    pub(super) fn cut_off(&mut self) {
        self.attempt = None;
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
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(attempted)) => {
                self.attempt = None;
                if !passes(op, "step.after") {
                    return Poll::Pending;
                }
                Poll::Ready(attempted)
            }
            Err(failure) => {
                self.attempt = None;
                Poll::Ready(Attempted::Failed(failure.into()))
            }
        }
    }

    fn poll_guarded(
        &mut self,
        op: &Operation,
        id: OpId,
        cx: &TaskContext<'_>,
    ) -> Result<Poll<Attempted>, Failure> {
        let _active = op.pass.enter(id);
        if self.attempt.is_none() {
            let future = panics::catch(|| (self.make)())?;
            let remembering = StepWaker::new(Arc::clone(&op.pass), id);
            self.attempt = Some((future, Waker::from(Arc::clone(&remembering)), remembering));
        }
        let Some((future, waker, remembering)) = &mut self.attempt else {
            return Ok(Poll::Pending);
        };
        remembering.polled_with(cx.waker());
        panics::catch(|| future.as_mut().poll(&mut TaskContext::from_waker(waker)))
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
