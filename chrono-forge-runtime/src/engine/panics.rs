//! Panics of user code: caught, and told with their place.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use super::pass::Failure;

thread_local! {
    /// Place and backtrace of the newest panic on this thread, while user code is being polled.
    static LAST: RefCell<Option<(String, Option<String>)>> = const { RefCell::new(None) };
    static WATCHING: RefCell<u32> = const { RefCell::new(0) };
}

/// Runs user code; a panic comes back as a failure with message and place.
pub fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Failure> {
    install();
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

fn note(info: &PanicHookInfo<'_>) -> (String, Option<String>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
    (place, captured.then(|| backtrace.to_string()))
}

fn failure(payload: &(dyn Any + Send)) -> Failure {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    let (place, backtrace) = LAST.take().unwrap_or_default();
    Failure {
        class: "panic".to_owned(),
        message: format!("{message} (at {place})"),
        backtrace,
        is_timeout: false,
        is_recorded: false,
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
    }

    #[test]
    fn code_that_does_not_panic_is_left_alone() {
        assert_eq!(catch(|| 7).unwrap(), 7);
    }
}
