//! Runs that share a workflow and a key.

use crate::record::{BRANCH, Namesake, ParentBranch};

/// The run, and run, workflow, key and record of the branch that spawned it.
pub(in crate::store) type NamesakeRow = (
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
);

pub(in crate::store) fn namesake((id, run, workflow, key, record): NamesakeRow) -> Namesake {
    let parent = run.zip(workflow).zip(key).zip(record);
    let parent = parent.map(|(((id, workflow), key), record)| ParentBranch {
        id,
        workflow,
        key,
        branch: record.strip_prefix(BRANCH).unwrap_or(&record).to_owned(),
    });
    Namesake { id, parent }
}
