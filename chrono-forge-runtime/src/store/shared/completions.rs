//! Results of children: how large a page is, and the order in which children completed.

use crate::record::RunId;
use crate::store::StoreResult;

/// Bytes after which a page is full, so that a page of large rows is no burden.
pub(in crate::store) const PAGE_BYTES: usize = 4 << 20;

/// Children of whom only the instant of their completion is read at once.
const COMPLETIONS: u32 = 5_000;

/// When a child completed, in microseconds.
pub(in crate::store) type Completion = (i64, RunId);

/// Sorts the children of all pages; see
/// [`Store::completion_order`](crate::store::Store::completion_order).
pub(in crate::store) fn completion_order(
    most: u64,
    read: impl Fn(RunId, u32) -> StoreResult<Vec<Completion>>,
) -> StoreResult<Vec<RunId>> {
    let mut found: Vec<Completion> = Vec::new();
    let mut after = RunId(0);
    loop {
        let left = most.saturating_sub(found.len() as u64);
        let limit = u32::try_from(left).map_or(COMPLETIONS, |left| left.min(COMPLETIONS));
        let page = match limit {
            0 => Vec::new(),
            limit => read(after, limit)?,
        };
        let Some((_, last)) = page.last() else {
            break;
        };
        after = *last;
        found.extend(page);
    }
    found.sort_unstable();
    let mut order: Vec<RunId> = found.into_iter().map(|(_, id)| id).collect();
    // It took over the memory of the pairs, which are twice as large.
    order.shrink_to_fit();
    Ok(order)
}
