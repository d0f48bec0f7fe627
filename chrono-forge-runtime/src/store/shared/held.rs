//! What a worker holds, compared with what its memory knows; and which of it killed too many workers.

use std::collections::BTreeSet;

use crate::record::{Epoch, RunId};
use crate::store::{CrashLimits, Heartbeat};

/// A run that a worker holds in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct HeldRun {
    pub(in crate::store) id: RunId,
    pub(in crate::store) epoch: Epoch,
    pub(in crate::store) crashes: u32,
}

/// A run that memory holds and that needs a word: the run, its epoch in memory, and whether it is held so.
pub(in crate::store) type Exception = (i64, i64, bool);

/// What a heartbeat answers for runs of memory that were lost or woken, and for what the database has held.
pub(in crate::store) fn heartbeat(
    exceptions: Vec<Exception>,
    held: impl IntoIterator<Item = (RunId, Epoch)>,
    memory: &[(RunId, Epoch)],
) -> Heartbeat {
    let mut answer = Heartbeat::default();
    for (run, epoch, is_ours) in exceptions {
        match is_ours {
            false => answer.lost.push((RunId(run), Epoch(epoch))),
            true => answer.woken.push(RunId(run)),
        }
    }
    let known: BTreeSet<(RunId, Epoch)> = memory.iter().copied().collect();
    answer.orphans = held
        .into_iter()
        .filter(|run| !known.contains(run))
        .collect();
    answer
}

/// What a death does to the runs of a worker, by their ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Estate {
    /// Failed: one more death proves them.
    pub(in crate::store) poisoned: Vec<i64>,
    /// Due, with one more crash.
    pub(in crate::store) suspected: Vec<i64>,
    /// Due, as they were: they had not begun.
    pub(in crate::store) unbegun: Vec<i64>,
}

impl Estate {
    /// What was held, and the suspects that the worker had begun, as its row has them.
    pub(in crate::store) fn of(
        held: &[HeldRun],
        executes: Option<&str>,
        limits: CrashLimits,
    ) -> Self {
        // What cannot be read was written by nobody: no evidence.
        let begun: BTreeSet<(i64, i64)> = executes
            .and_then(|pairs| serde_json::from_str(pairs).ok())
            .unwrap_or_default();
        // Below quarantine a death says little: the killer may be any of the runs that died together.
        let fatal = limits.quarantine_from.saturating_add(limits.poison_at);
        let mut estate = Self::default();
        for run in held {
            let of = if run.crashes < limits.quarantine_from {
                &mut estate.suspected
            } else if !begun.contains(&(run.id.0, run.epoch.0)) {
                &mut estate.unbegun
            } else if run.crashes.saturating_add(1) >= fatal {
                &mut estate.poisoned
            } else {
                &mut estate.suspected
            };
            of.push(run.id.0);
        }
        estate
    }

    /// How many of them are due.
    pub(in crate::store) fn due(&self) -> u64 {
        (self.suspected.len() + self.unbegun.len()) as u64
    }
}

/// Suspects that a worker has begun, as its row has them.
pub(in crate::store) fn executes(suspects: &[(RunId, Epoch)]) -> String {
    let pairs: Vec<(i64, i64)> = suspects
        .iter()
        .map(|(run, epoch)| (run.0, epoch.0))
        .collect();
    serde_json::Value::from_iter(pairs.iter().map(|(run, epoch)| vec![*run, *epoch])).to_string()
}
