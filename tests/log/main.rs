//! The log of a service, as its operators read it: what stalled, why, and what to do, on two
//! screens.
//!
//! A thousand runs, among them two that stall; a worker that dies, and a run that kills its
//! workers; a step that was renamed under a run in flight; a database that cannot be written to for
//! a while. All of it at `info`, compared with `golden.txt`, which `CHRONO_FORGE_GOLDEN=overwrite`
//! writes anew. What differs from one time to the next (instants, spans of time, processes) is
//! masked, and within a phase lines stand once each, in the order of their texts.
//!
//! A process of its own, since all of it is heard.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod mask;
mod service;

use std::path::Path;

use chrono_forge_tests::process::bounded;
use chrono_forge_tests::telling;

/// Two screens.
const LINES_MAX: usize = 80;

#[test]
fn the_log_of_a_service_says_what_stalled_why_and_what_to_do() {
    telling::listen();
    let log = bounded(service::run());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("log/golden.txt");
    if std::env::var("CHRONO_FORGE_GOLDEN").is_ok_and(|value| value == "overwrite") {
        std::fs::write(&golden, &log).unwrap();
    }
    let lines = log.lines().count();
    assert!(lines <= LINES_MAX, "{lines} lines:\n{log}");
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(
        log == expected,
        "the log is not that of {}; CHRONO_FORGE_GOLDEN=overwrite writes it anew:\n{log}",
        golden.display()
    );
}
