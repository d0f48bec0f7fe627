//! What operators are told: every line about runs, and about the engine's coming and going, with
//! its level and its words.
//!
//! Other rooms say what happened; how it reads is decided here. One event is one line, and a line
//! stands for itself: `workflow`, `key` and `step` say of what it is, `attempt` says which one of
//! how many, `class` and `error` say why, `next` says when it goes on, and where somebody has to do
//! something the message ends in what.
//!
//! - `ERROR`: a run waits for a person. - `WARN`: it goes on by itself, or never will and nobody
//!   notices.
//! - `INFO`: the engine came or left. A healthy hour has no other line.
//! - `DEBUG`: each run that begins, parks or ends.
//!
//! A thousand runs that meet the same trouble are no thousand lines: see `storms`. Where nobody
//! listens nothing is made: a line that is not wanted costs a look at one atomic.

mod ends;
mod fault;
mod once;
mod service;
mod span;
mod storms;
mod tidings;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::record::ClaimedRun;
use crate::telemetry::TARGET;
use once::Once;
use storms::{Count, Kind, Storms};

pub use ends::Ended;
pub use fault::Fault;
pub use service::Opened;
pub use span::attempt;
pub use tidings::Tiding;

/// What one engine has told, as far as that decides what it tells next.
#[derive(Debug, Default)]
pub struct Report {
    storms: Storms,
    /// Records that nothing asks for, by workflow and key: each is told of once.
    unclaimed: Once,
    /// Workflows whose runs were started though nobody executes them.
    started: Once,
    /// When it was looked last who executes them, by workflow.
    looked: Mutex<HashMap<String, Instant>>,
}

/// Whether somebody hears warnings: what only they tell is not made otherwise.
#[must_use]
pub fn is_heard() -> bool {
    tracing::event_enabled!(target: TARGET, tracing::Level::WARN)
}

/// A step's name as lines have it: its key. What is no step has the name of its record,
/// `repeat$night`.
#[must_use]
pub fn step_of(step_name: &str) -> &str {
    step_name.strip_prefix("step$").unwrap_or(step_name)
}

impl Report {
    /// Tells a line about a run, or counts it where there are too many of its kind.
    fn about(
        &self,
        kind: Kind,
        run: &ClaimedRun,
        newest: &dyn std::fmt::Display,
        line: impl FnOnce(),
    ) {
        let newest = || format!("`{}`: {newest}", run.key);
        if self
            .storms
            .admit(kind, &run.workflow, newest, Instant::now())
        {
            line();
        }
    }

    /// Tells what was counted and is due to be told.
    pub fn tell_counts(&self) {
        self.storms.due(Instant::now()).iter().for_each(Count::tell);
    }

    /// Tells what was counted and not told: the engine leaves.
    pub fn tell_all_counts(&self) {
        self.storms.all().iter().for_each(Count::tell);
    }
}
