//! The tokio runtime that an engine lives on.

use std::panic::catch_unwind;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::error::Error;

/// The runtime that this is called on, if it can carry an engine.
pub(super) fn current() -> Result<Handle, Error> {
    let Ok(handle) = Handle::try_current() else {
        return refuse(
            "there is none here: `open` needs a tokio runtime, so await it under #[tokio::main], or in `block_on` of a \
             runtime that lives as long as the engine",
        );
    };
    // There is no other way to ask: a sleep panics where it is made if nobody could end it.
    if catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_err() {
        return refuse(
            "the tokio runtime here has no timers: build it with `enable_all()` (or `enable_time()`)",
        );
    }
    Ok(handle)
}

fn refuse<T>(problem: &str) -> Result<T, Error> {
    Err(Error::Config {
        knob: "runtime",
        problem: problem.to_owned(),
    })
}
