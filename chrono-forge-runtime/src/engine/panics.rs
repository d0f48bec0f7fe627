//! Panics of user code: caught, and told with their place.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use super::pass::Failure;

/// How many payloads are dropped that each panic with the next one.
const PAYLOADS_MAX: u32 = 16;

thread_local! {
    /// Place and backtrace of the newest panic on this thread, while user code is being polled.
    static LAST: RefCell<Option<(String, Backtrace)>> = const { RefCell::new(None) };
    static WATCHING: RefCell<u32> = const { RefCell::new(0) };
}

/// Runs user code; a panic comes back as a failure with message and place.
pub fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Failure> {
    install();
    // What user code has caught itself tells nothing about a panic to come.
    LAST.take();
    WATCHING.with_borrow_mut(|depth| *depth += 1);
    let result = catch_unwind(AssertUnwindSafe(code));
    WATCHING.with_borrow_mut(|depth| *depth -= 1);
    result.map_err(|payload| {
        let failure = failure(payload.as_ref());
        let_go(payload);
        failure
    })
}

/// Drops a value of the user's where nobody is left to hear of a panic of its destructor.
pub fn discard<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        let_go(payload);
    }
}

/// A value of the user's whose destructor ends nothing but itself, wherever it is dropped.
#[derive(Debug)]
pub struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    /// Contains a value.
    pub const fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value.
    pub const fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            discard(value);
        }
    }
}

/// What a panic carries is the user's, too: its destructor may panic with another one, and so on.
fn let_go(mut payload: Box<dyn Any + Send>) {
    for _ in 0..PAYLOADS_MAX {
        match catch_unwind(AssertUnwindSafe(move || drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    // Whoever goes on like that never ends; its memory is the smaller loss.
    std::mem::forget(payload);
}

/// Puts our hook before the application's, once: the place of a panic is known only there.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let application = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHING.with_borrow(|depth| *depth > 0) {
                LAST.set(Some(note(info)));
            }
            application(info);
        }));
    });
}

/// A panic that nobody expects is worth its backtrace whatever the environment says. Its frames are
/// only looked up if the panic reaches us: one that the user's code catches costs microseconds.
fn note(info: &PanicHookInfo<'_>) -> (String, Backtrace) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    (place, Backtrace::force_capture())
}

fn failure(payload: &(dyn Any + Send)) -> Failure {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    match LAST.take() {
        Some((place, backtrace)) => {
            Failure::panic(format!("{message} (at {place})"), Some(&backtrace))
        }
        // Passed on by `resume_unwind`, which calls no hook.
        None => Failure::panic(message, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_with_message_and_place() {
        let failure = catch(|| panic!("no {}", "stock")).unwrap_err();
        assert_eq!(failure.class, "panic");
        assert!(
            failure.message.starts_with("no stock (at "),
            "{}",
            failure.message
        );
        assert!(failure.message.contains("panics.rs"), "{}", failure.message);
        let backtrace = failure.backtrace.unwrap();
        assert!(backtrace.contains("a_panic_comes_back"), "{backtrace}");
    }

    #[test]
    fn a_panic_that_is_passed_on_has_no_place_of_an_older_one() {
        let code = || {
            let _ = std::panic::catch_unwind(|| panic!("caught by user code"));
        };
        catch(code).unwrap();
        let passed_on = || std::panic::resume_unwind(Box::new("passed on"));
        let failure = catch::<()>(passed_on).unwrap_err();
        assert_eq!((&*failure.message, failure.backtrace), ("passed on", None));
    }

    /// Panics with another of its kind whenever it is dropped.
    struct Endless;

    impl Drop for Endless {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }

    #[test]
    fn a_payload_whose_destructor_panics_ends_nothing_but_itself() {
        let failure = catch(|| std::panic::panic_any(Endless)).unwrap_err();
        assert!(failure.message.starts_with("a panic without a message"));
        discard(Endless);
        drop(Contained::new(Endless));
        let while_unwinding = || {
            let _contained = Contained::new(Endless);
            panic!("the reason");
        };
        let failure = catch::<()>(while_unwinding).unwrap_err();
        assert_eq!(failure.class, "panic");
    }

    #[test]
    fn code_that_does_not_panic_is_left_alone() {
        assert_eq!(catch(|| 7).unwrap(), 7);
    }
}
