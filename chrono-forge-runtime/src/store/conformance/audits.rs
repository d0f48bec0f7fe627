//! Audits: what is counted, whose turn it is, what is repaired and who is woken.

pub(crate) mod recounts;
pub(crate) mod rounds;

use super::fixture::*;
use crate::record::*;

/// Every child of a branch.
const ALL: RunId = RunId(i64::MAX);

/// Sets the counter of `branch$b`, the only branch there is.
fn corrupt(forge: &Forge, pending: u64) {
    forge.edit(&format!(
        "UPDATE chrono_forge_execution_logs SET pending = {pending} WHERE step_name = 'branch$b'"
    ));
}

fn audits(forge: &Forge) -> u64 {
    forge.count("chrono_forge_audits")
}

/// The rows of runs and records as they are, all that is outside the auditor's own table.
fn rows(forge: &Forge) -> Vec<String> {
    let runs = "id, state, wake_at, wake_requested, locked_by, lock_epoch, updated_at";
    let records = "id, step_name, state, spawned, pending, metadata";
    let mut lines = forge.lines(runs, "chrono_forge_workflows ORDER BY id");
    lines.extend(forge.lines(records, "chrono_forge_execution_logs ORDER BY id"));
    lines
}

/// A parent that waits at `merge$b`, and its children.
fn waiting(forge: &mut Forge, children: u32) -> (ClaimedRun, Vec<ClaimedRun>, RecordId) {
    let parent = forge.running("p");
    let claimed = forge.branch(&parent, children);
    forge.seal(&parent);
    let plan = Plan {
        records: vec![record("merge$b")],
        end: Some(parked(None)),
        ..forge.plan(&parent)
    };
    forge.apply(&plan);
    let branch = forge.store.branches(parent.id, &names(&["branch$b"]));
    let branch = branch.unwrap()[0].id;
    (parent, claimed, branch)
}
