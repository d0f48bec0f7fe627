//! What a caller waits for.
//!
//! A caller whose answer is dropped asks why. When a commit thread panics, that is known only once the panic has
//! come to the thread's end, and the answers of what it was at are dropped on the way there. So on such a thread
//! they are kept until then.

use std::any::Any;
use std::cell::RefCell;

use tokio::sync::oneshot;

thread_local! {
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// One answer.
pub(super) struct Reply<T: 'static>(Option<oneshot::Sender<T>>);

impl<T: 'static> Reply<T> {
    /// With the place where it is waited for.
    pub(super) fn new() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(sender)), receiver)
    }

    /// Answers. The caller may be gone.
    pub(super) fn send(mut self, answer: T) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(answer);
        }
    }
}

impl<T: 'static> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take().filter(|_| std::thread::panicking()) {
            KEPT.with_borrow_mut(|kept| kept.push(Box::new(sender)));
        }
    }
}

/// Lets go of those who wait for answers of this thread, which has panicked.
pub(super) fn let_go() {
    let kept = KEPT.take();
    drop(kept);
}
