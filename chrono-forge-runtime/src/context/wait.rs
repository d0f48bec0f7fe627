//! `wait!`: a durable sleep that holds no worker.
//!
//! Idempotency: the deadline is fixed when the wait registers and stored at once, so that neither a
//! crash nor an early wake-up restarts it. Row: `wait$<key>`, pending until the deadline has passed.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use jiff::Timestamp;

use super::operation::Operation;
use super::{Context, Key};
use crate::engine::pass::{Kind, Turn, WaitUntil};

/// The future of a `wait!`.
#[must_use = "a wait does nothing until it is awaited"]
pub struct Wait<'a> {
    op: Operation,
    _run: PhantomData<&'a Context>,
}

/// What `wait!("k", duration)` expands to.
pub fn wait(cx: &Context, key: Key, duration: Duration) -> Wait<'_> {
    waiting(cx, key, WaitUntil::After(duration))
}

/// What `wait!("k", until = instant)` expands to.
pub fn wait_instant(cx: &Context, key: Key, instant: Timestamp) -> Wait<'_> {
    waiting(cx, key, WaitUntil::At(instant))
}

fn waiting(cx: &Context, key: Key, until: WaitUntil) -> Wait<'_> {
    Wait {
        op: Operation::new(&cx.pass, "wait", key.0, Kind::Wait { until }),
        _run: PhantomData,
    }
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        match self.op.turn(cx) {
            Turn::Deliver(_) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}
