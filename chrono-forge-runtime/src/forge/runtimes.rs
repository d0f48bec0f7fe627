//! The tokio runtime that an engine lives on.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::error::Error;

/// Any clock shows that so much time has passed.
const A_WHILE: Duration = Duration::from_micros(1);

/// The runtime that this is called on, if it can carry an engine, which executes runs if it `works`.
pub(super) fn current(works: bool) -> Result<Handle, Error> {
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
    if works && is_paused() {
        return refuse(
            "tokio's clock is paused here (`start_paused = true`, `tokio::time::pause`), and skips whatever sleeps while a \
             write is on its way: leave that out, and give the builder a clock whose days pass at once, \
             .clock(chrono_forge::testing::ManualClock::skipping()) with the feature `testing`",
        );
    }
    Ok(handle)
}

/// Whether tokio's clock stands while time goes on, for which there is no question either.
fn is_paused() -> bool {
    let (shown, begun) = (tokio::time::Instant::now(), Instant::now());
    while begun.elapsed() < A_WHILE {
        std::hint::spin_loop();
    }
    tokio::time::Instant::now() == shown
}

fn refuse<T>(problem: &str) -> Result<T, Error> {
    Err(Error::Config {
        knob: "runtime",
        problem: problem.to_owned(),
    })
}
