//! Runs that are inserted already claimed, as their worker takes them over.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use crate::record::{ChildRow, ClaimedRun, Dispatch, Epoch, Json, RecordId, RunId};
use crate::store::Start;

/// Workflow-level retry counts of a run that has none.
pub(in crate::store) const NO_COUNTS: &str = "{}";

/// As all runs that have none share it.
fn no_counts() -> Json {
    static SHARED: LazyLock<Json> = LazyLock::new(|| NO_COUNTS.into());
    Arc::clone(&SHARED)
}

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
        workflow: Arc::clone(&child.workflow),
        queue: Arc::clone(&child.queue),
        level: child.level,
        epoch,
        args: child.args.clone(),
        attempts: 0,
        retry_counts: no_counts(),
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
        workflow: start.workflow.as_str().into(),
        queue: start.queue.as_str().into(),
        level: start.level,
        epoch,
        args: start.args.clone(),
        attempts: 0,
        retry_counts: no_counts(),
        crashes: 0,
        parent: None,
        created_at: now,
        fresh: true,
    }
}
