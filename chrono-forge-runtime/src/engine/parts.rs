//! The tasks and threads that an engine consists of: if one of them dies, the engine stops, and says so.
//!
//! An engine without its scheduler claims nothing, one without its heartbeat is taken for dead, one without a
//! commit thread never answers: each would look alive for ever. So whatever the engine starts goes through here,
//! and a panic of it halts the engine ([`Host::halt`]). A task that is dropped before it has ended was dropped
//! by its runtime, which takes every other task with it: that halts the engine, too.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::end::Leave;
use super::host::Host;
use crate::error::Error;

/// A task of the engine, to be spawned on the engine's runtime.
pub fn task(
    host: Arc<Host>,
    part: &'static str,
    work: impl Future<Output = ()> + Send,
) -> impl Future<Output = ()> + Send {
    // Here, since a task may be dropped before its first poll.
    let mut unfinished = Unfinished(Some(host));
    async move {
        let mut work = pin!(work);
        let ended = poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
            polled.map_or_else(|panic| Poll::Ready(Err(panic)), |polled| polled.map(Ok))
        });
        let ended = ended.await;
        if let (Err(panic), Some(host)) = (ended, unfinished.0.take()) {
            host.part_died(part, &message(panic));
        }
    }
}

/// A thread of the engine: what it does, and what to say when it panics.
pub fn thread(work: impl FnOnce(), died: impl FnOnce(&str)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        died(&message(panic));
    }
}

/// A task that goes before its end was dropped by its runtime.
struct Unfinished(Option<Arc<Host>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(host) = self.0.take() {
            host.halt(Error::RuntimeGone, Leave::HandBack);
        }
    }
}

/// Why what had to be done on a blocking thread was not.
pub fn unopened(error: tokio::task::JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => Error::Stopped {
            part: "the opening",
            problem: message(panic),
        },
        Err(_) => Error::RuntimeGone,
    }
}

/// What a panic says. A payload that is no text may panic when it is dropped, so it is not.
pub fn message(panic: Box<dyn Any + Send>) -> String {
    let panic = match panic.downcast::<&'static str>() {
        Ok(text) => return (*text).to_owned(),
        Err(panic) => panic,
    };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => {
            std::mem::forget(other);
            "a panic without a message".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_its_own_words_and_its_payload_is_not_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let told = |work: fn()| {
            let mut said = String::new();
            thread(work, |message| message.clone_into(&mut said));
            said
        };
        assert_eq!(told(|| panic!("no clock")), "no clock");
        assert_eq!(told(|| panic!("no {}", 7)), "no 7");
        assert_eq!(
            told(|| std::panic::panic_any(Bomb)),
            "a panic without a message"
        );
        assert_eq!(told(|| {}), "");
    }
}
