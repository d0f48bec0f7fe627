//! Which runs keep a run parked at any depth: page after page of the blocked runs.
//!
//! From the blocked runs upwards and not from the branches downwards: a branch has a million children of
//! which few are blocked, and no index tells which of the others wait for children of their own. What is
//! below a run was created after it, and its key begins with the run's; nearly every blocked run that is
//! not below it is left out by these two, before any way up is walked. They prove nothing, since runs of
//! other workflows may have the same key, so the links decide.

use crate::record::{BlockedChild, RunId, RunRow};
use crate::store::StoreResult;

/// Blocked runs looked at in one transaction.
pub(in crate::store) const PAGE_ROWS: u32 = 1_000;

/// Reads pages, each told with its last run, until there are enough; see
/// [`Store::blocked_descendants`](crate::store::Store::blocked_descendants).
pub(in crate::store) fn blocked_descendants(
    run: &RunRow,
    limit: u32,
    read: impl Fn(RunId) -> StoreResult<Option<(Vec<BlockedChild>, RunId)>>,
) -> StoreResult<Vec<BlockedChild>> {
    let limit = limit as usize;
    let mut found = Vec::new();
    let mut after = run.id;
    while found.len() < limit {
        let Some((page, last)) = read(after)? else {
            break;
        };
        found.extend(page);
        after = last;
    }
    found.truncate(limit);
    Ok(found)
}
