//! What a worker holds, compared with what its memory knows; and which of it killed too many workers.

use std::collections::BTreeSet;

use crate::record::{Epoch, RunId, WorkerId};
use crate::store::{CrashLimits, Fate, Heartbeat};

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

/// What became of a worker whose heartbeat found no row of its own, by what its row has if there is one: the incarnation,
/// and whether it is stopped.
pub(in crate::store) fn fate_of(worker: WorkerId, found: Option<(i64, bool)>) -> Fate {
    match found {
        None => Fate::Gone,
        Some((incarnation, _)) if incarnation != worker.1.0 => Fate::Replaced,
        Some((_, true)) => Fate::DeclaredDead,
        Some((_, false)) => Fate::SetBack,
    }
}

/// The ids of the runs that one more death poisons, and of those that it makes due.
pub(in crate::store) fn poisoned_and_due(
    held: &[HeldRun],
    limits: CrashLimits,
) -> (Vec<i64>, Vec<i64>) {
    // Below quarantine a death says little: the killer may be any of the runs that died together.
    let fatal = limits.quarantine_from.saturating_add(limits.poison_at);
    let is_poison = |run: &&HeldRun| {
        run.crashes >= limits.quarantine_from && run.crashes.saturating_add(1) >= fatal
    };
    let (poisoned, due): (Vec<&HeldRun>, Vec<&HeldRun>) = held.iter().partition(is_poison);
    let ids = |runs: Vec<&HeldRun>| runs.into_iter().map(|run| run.id.0).collect();
    (ids(poisoned), ids(due))
}
