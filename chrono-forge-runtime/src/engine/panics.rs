//! Panics of user code: caught, and told with their place.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use super::pass::Failure;

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
    result.map_err(|payload| failure(payload.as_ref()))
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

    #[test]
    fn code_that_does_not_panic_is_left_alone() {
        assert_eq!(catch(|| 7).unwrap(), 7);
    }
}
