//! Claims: which levels are visited, and the run that a claimed row is.

use std::sync::Arc;

use jiff::Timestamp;

use super::codes::{count, level};
use crate::record::{ClaimedRun, Epoch, Level, Nonce, RecordId, RunId};
use crate::store::Room;

/// Arguments of one claim; the run that goes beyond it is left to the next, unless it is the first.
pub(in crate::store) const CLAIM_BYTES_MAX: i64 = 8 << 20;

/// Levels in the order to visit them, and the most to take from them: first those of healthy runs, then those of
/// runs that return.
pub(in crate::store) fn visits(room: &Room, lowest_first: bool) -> [(Vec<Level>, u32); 2] {
    let (returning, mut healthy): (Vec<Level>, Vec<Level>) = Level::all()
        .filter(|level| level.is_urgent() || !room.urgent_only)
        .partition(|level| level.is_returning());
    if lowest_first {
        healthy.reverse();
    }
    [(healthy, room.healthy), (returning, room.returning)]
}

/// Id, key, workflow, priority, epoch before the claim, arguments, attempts, retry counts, crashes, parent.
pub(in crate::store) type DueRow = (
    i64,
    String,
    String,
    i64,
    i64,
    String,
    i64,
    String,
    i64,
    Option<i64>,
);

/// What the claim of this row answers.
pub(in crate::store) fn claimed(
    row: DueRow,
    nonce: Nonce,
    queue: Arc<str>,
    created_at: Timestamp,
) -> ClaimedRun {
    let (id, key, workflow, priority, epoch, args, attempts, retry_counts, crashes, parent) = row;
    ClaimedRun {
        id: RunId(id),
        key,
        workflow: workflow.into(),
        queue,
        level: level(priority),
        epoch: Epoch(epoch).next(nonce),
        args: args.into(),
        attempts: count(attempts),
        retry_counts: retry_counts.into(),
        crashes: count(crashes),
        parent: parent.map(RecordId),
        created_at,
        // Records are written by passes only, and this is the first.
        fresh: epoch == 0,
    }
}
