//! Runs that are inserted already claimed, as their worker takes them over.

use jiff::Timestamp;

use crate::record::{ChildRow, ClaimedRun, Dispatch, Epoch, RecordId, RunId};
use crate::store::Start;

/// Workflow-level retry counts of a run that has none.
pub(in crate::store) const NO_COUNTS: &str = "{}";

/// A child.
pub(in crate::store) fn child(
    (id, epoch): (RunId, Epoch),
    parent: Option<RecordId>,
    dispatch: &Dispatch,
    child: &ChildRow,
) -> ClaimedRun {
    ClaimedRun {
        id,
        key: child.key.clone(),
        workflow: child.workflow.to_string(),
        queue: child.queue.to_string(),
        level: child.level,
        epoch,
        args: child.args.clone(),
        attempts: 0,
        retry_counts: NO_COUNTS.into(),
        crashes: 0,
        parent,
        created_at: dispatch.at,
        fresh: true,
    }
}

/// A top-level run.
pub(in crate::store) fn top_level(
    (id, epoch): (RunId, Epoch),
    start: &Start,
    now: Timestamp,
) -> ClaimedRun {
    ClaimedRun {
        id,
        key: start.key.clone(),
        workflow: start.workflow.clone(),
        queue: start.queue.clone(),
        level: start.level,
        epoch,
        args: start.args.clone(),
        attempts: 0,
        retry_counts: NO_COUNTS.into(),
        crashes: 0,
        parent: None,
        created_at: now,
        fresh: true,
    }
}
