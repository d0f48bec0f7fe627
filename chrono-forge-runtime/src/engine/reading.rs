//! A read, or a claim of a name, of the engine's own that a body waits for.
//!
//! It stands in no record, so it has no place in the order. What makes it replay-safe is that nothing
//! is released while it is under way, and that the body is polled once more before anything is: whoever
//! waits for it goes on as if the answer had been there at once. It runs beside the body, so one that is
//! no longer polled (an arm that lost its race) holds the pass no longer than the database takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::driver;
use super::pass::Pass;
use crate::definition::Definition;
use crate::store::{Store, StoreResult};

/// A read that has begun; its output is what it found. Never ready when the pass is over.
pub struct Reading<T> {
    answer: Arc<Mutex<Answer<T>>>,
}

enum Answer<T> {
    Awaited(Option<Waker>),
    Here(T),
    Taken,
}

impl<T: Send + 'static> Reading<T> {
    /// Begins the read.
    pub fn begin(
        pass: &Arc<Pass>,
        read: impl Fn(&dyn Store) -> StoreResult<T> + Clone + Send + 'static,
    ) -> Self {
        let reader = Arc::clone(pass);
        Self::of(
            pass,
            async move { driver::read_in_bulk(&reader, read).await },
        )
    }

    fn of(pass: &Arc<Pass>, asked: impl Future<Output = Option<T>> + Send + 'static) -> Self {
        let answer = Arc::new(Mutex::new(Answer::Awaited(None)));
        let (hold, place) = (pass.hold(), Arc::clone(&answer));
        pass.host.spawn("a reader", async move {
            if let Some(found) = asked.await {
                let before = std::mem::replace(&mut *lock(&place), Answer::Here(found));
                if let Answer::Awaited(Some(waker)) = before {
                    waker.wake();
                }
            }
            // Last, so that the body was asked to be polled before anything is released.
            drop(hold);
        });
        Self { answer }
    }
}

impl Reading<()> {
    /// Begins to claim the name of a workflow; see [`driver::claim_name`].
    pub fn claim(pass: &Arc<Pass>, definition: &'static Definition) -> Self {
        let claimant = Arc::clone(pass);
        Self::of(pass, async move {
            driver::claim_name(&claimant, definition).await
        })
    }
}

impl<T> Future for Reading<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut answer = lock(&self.answer);
        match std::mem::replace(&mut *answer, Answer::Taken) {
            Answer::Here(found) => Poll::Ready(found),
            Answer::Awaited(_) => {
                *answer = Answer::Awaited(Some(cx.waker().clone()));
                Poll::Pending
            }
            Answer::Taken => Poll::Pending,
        }
    }
}

fn lock<T>(answer: &Mutex<Answer<T>>) -> MutexGuard<'_, Answer<T>> {
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}
