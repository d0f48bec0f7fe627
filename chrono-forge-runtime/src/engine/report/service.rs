//! The engine itself: that it came and left, whom it replaced, and which runs nobody executes.

use std::fmt::Display;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Report;
use crate::engine::config::Config;
use crate::record::WorkerId;
use crate::store::{Recovered, ServingRow};
use crate::telemetry::TARGET;

/// Names that a line has room for.
const NAMES_MAX: usize = 20;

/// Who executes what a client starts is asked no more often.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// An engine that was opened.
#[derive(Debug)]
pub struct Opened<'a> {
    pub database: &'a str,
    /// `None` where it executes nothing.
    pub worker: Option<WorkerId>,
    pub config: &'a Config,
    /// The workflows that it serves.
    pub workflows: &'a [String],
}

impl Report {
    /// An engine begins to work.
    pub fn opened(&self, opened: &Opened<'_>) {
        let Opened {
            database,
            config,
            workflows,
            ..
        } = opened;
        let version = env!("CARGO_PKG_VERSION");
        let Some(worker) = opened.worker else {
            tracing::info!(target: TARGET, version, database, "opened without a worker: it starts, wakes and reads runs, and executes none");
            return;
        };
        let queues = config.queues.iter();
        let queues = queues.map(|(queue, slots)| format!("{queue} ({slots} slots)"));
        let queues = listed(&queues.collect::<Vec<_>>());
        let (name, workflows) = (&*config.worker_name, listed(workflows));
        tracing::info!(target: TARGET, version, database, %worker, name, queues, workflows, "opened");
    }

    /// An engine has left as it was asked to.
    pub fn closed(&self, worker: Option<WorkerId>, took: Duration) {
        let worker = worker.map(tracing::field::display);
        tracing::info!(target: TARGET, worker, ?took, "shut down; what is under way goes on elsewhere, or at the next start");
    }

    /// A dead worker's runs go on.
    pub fn recovered(&self, worker: WorkerId, who: Option<&ServingRow>, recovered: &Recovered) {
        let (due, poisoned) = (recovered.due, recovered.poisoned.len());
        let who = who.map(|who| format!("{}, process {} on {}", who.name, who.pid, who.host));
        tracing::warn!(target: TARGET, %worker, who, due, poisoned, "a worker died, and its runs go on; if that happens again and again, look for what ends its process (memory, abort, kill)");
    }

    /// Runs are due that no live worker can execute; `unserved` says what is missing.
    pub fn unserved(&self, since: Timestamp, unserved: &dyn Display) {
        tracing::warn!(target: TARGET, %since, "due runs wait: {unserved}");
    }

    /// Somebody waits for the result of such a run.
    pub fn awaited_unserved(&self, key: &str, unserved: &dyn Display) {
        tracing::warn!(target: TARGET, key, "a result is awaited, but {unserved}");
    }

    /// This worker serves a workflow, but nobody the queue of its runs.
    pub fn unserved_queue(&self, unserved: &dyn Display) {
        tracing::warn!(target: TARGET, "runs would wait: {unserved}");
    }

    /// A run was started that nobody would execute.
    pub fn started_unserved(&self, workflow: &str, key: &str, unserved: &dyn Display) {
        if self.started.is_first(workflow, "") {
            tracing::warn!(target: TARGET, key, "a run was started, but {unserved}");
        }
    }

    /// Whether it is time to look who executes a workflow that was started here: until that was
    /// told, or found to be well, in the last minute.
    pub fn is_to_look(&self, workflow: &str) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_fresh = |at: &Instant| now.saturating_duration_since(*at) < LOOK_AGAIN;
        if looked.get(workflow).is_some_and(is_fresh) {
            return false;
        }
        looked.insert(workflow.to_owned(), now);
        true
    }

    /// Due runs wait long for a slot.
    pub fn waits_long(&self, queue: &str, workflow: &str, since: Timestamp, slots: usize) {
        tracing::warn!(target: TARGET, workflow, queue, slots, %since, "due runs wait long for a worker: give the queue more slots, or start another worker");
    }
}

/// Names as a line has room for them.
fn listed(names: &[String]) -> String {
    let named = names[..names.len().min(NAMES_MAX)].join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_room_for_some_names() {
        let names: Vec<String> = (0..NAMES_MAX + 2).map(|n| n.to_string()).collect();
        assert!(listed(&names).ends_with("18, 19 and 2 more"));
        assert_eq!(listed(&names[..2]), "0, 1");
        assert_eq!(listed(&[]), "");
    }
}
