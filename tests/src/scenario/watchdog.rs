//! Ends the process when a scenario has stopped even the runtime.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::Rows;
use crate::database::Looker;

/// Aborts unless it is dropped in time.
pub(super) struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    pub(super) fn new(looker: Looker, patience: Duration) -> Self {
        let (alive, watched) = channel();
        std::thread::spawn(move || {
            if watched.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                let rows = Rows::new(looker.look()).dump();
                let mut out = std::io::stderr();
                // Nothing is left to tell anyone when this fails.
                let _ = writeln!(out, "the runtime of a scenario hangs; its rows:\n{rows}");
                std::process::abort();
            }
        });
        Self { _alive: alive }
    }
}
