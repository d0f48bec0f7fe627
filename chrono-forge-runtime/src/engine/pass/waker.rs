//! Wakers: how a driver learns that its body can go on, and what a step's future wakes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Instant;

use tokio::sync::Notify;

use super::{Active, OpId, Pass};

/// The waker under which a body is polled.
///
/// Its reference count tells whether somebody keeps a clone: a future that the engine does not
/// know (a channel, a raw sleep) does, the engine's own operations do not.
#[derive(Default)]
pub struct RootWaker {
    notify: Notify,
    /// Whether the body asked to be polled since it last was.
    poll_wanted: AtomicBool,
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.poll_wanted.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

impl RootWaker {
    /// Wakes the driver without asking it to poll the body.
    pub fn signal(&self) {
        self.notify.notify_one();
    }

    /// Whether the body asked to be polled; asking resets it.
    pub fn take_poll_wanted(&self) -> bool {
        self.poll_wanted.swap(false, Ordering::AcqRel)
    }

    /// Whether the body asked to be polled; it may be asked again.
    pub fn is_poll_wanted(&self) -> bool {
        self.poll_wanted.load(Ordering::Acquire)
    }

    /// Waits for a signal; one that came before is not lost.
    pub async fn signaled(&self) {
        self.notify.notified().await;
    }

    /// Whether this is the waker that the body itself was polled with.
    pub fn is(self: &Arc<Self>, waker: &Waker) -> bool {
        std::ptr::eq(waker.data(), Arc::as_ptr(self).cast())
    }

    /// Whether somebody beside the driver and the pass keeps a clone.
    pub fn has_clones(self: &Arc<Self>) -> bool {
        // The pass holds one, the driver's `Waker` another.
        Arc::strong_count(self) > 2
    }
}

/// The waker under which a step's body (or a condition, or a branch block) is polled: it remembers
/// since when its operation waits to be polled again.
pub struct StepWaker {
    pass: Arc<Pass>,
    op: OpId,
    outer: Mutex<Option<Waker>>,
}

impl StepWaker {
    /// The waker of one attempt.
    #[must_use]
    pub fn new(pass: Arc<Pass>, op: OpId) -> Arc<Self> {
        Arc::new(Self {
            pass,
            op,
            outer: Mutex::new(None),
        })
    }

    /// Marks this thread as running user code of the attempt until the guard is dropped.
    pub fn enter(&self) -> Active<'_> {
        self.pass.enter(self.op)
    }

    /// Remembers whom to wake; a body polled by the driver directly needs no clone of its waker.
    pub fn polled_with(&self, waker: &Waker) {
        let mut outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.pass.root.is(waker) {
            *outer = None;
        } else if !outer.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *outer = Some(waker.clone());
        }
    }
}

impl Wake for StepWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.pass.ledger().mark_woken(self.op, Instant::now());
        let outer = self
            .outer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match outer {
            Some(waker) => waker.wake(),
            None => self.pass.root.wake_by_ref(),
        }
    }
}
