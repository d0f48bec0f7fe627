//! Counting the children of a branch while they go on, and what the counter may say about it.
//!
//! The counters are read first, together with the newest child, and again at the end; between, the
//! children up to that one are counted page by page. A child only ever goes from unfinished to completed,
//! in the commit that counts it down, so with a right counter the number `c` of those counted as unfinished
//! is at most `pending` of the beginning. At the end `pending` covers those of them that are still
//! unfinished and at most all children that were dispatched since, so it is at most `c` plus these. A
//! counter outside these bounds is wrong; one inside may be, while children finish, and is found once fewer
//! do.

use crate::record::{BranchCounters, ChildCount, RecordId, RunId};
use crate::store::{Store, StoreResult};

/// Children of one page: a few milliseconds of one connection that reads.
pub const PAGE_ROWS: u32 = 5_000;

/// A count that is under way.
#[derive(Debug)]
pub struct Counting {
    branch: RecordId,
    page_rows: u32,
    before: BranchCounters,
    /// The last child counted.
    reached: RunId,
    count: ChildCount,
}

/// A count that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub before: BranchCounters,
    pub after: BranchCounters,
    pub count: ChildCount,
}

/// Where a count stands after a page.
#[derive(Debug)]
pub enum Step {
    More(Counting),
    /// `None`: the branch has no row any more.
    Ended(Option<Counted>),
}

/// Begins, and counts the first page.
pub fn begin(store: &dyn Store, branch: RecordId, page_rows: u32) -> StoreResult<Step> {
    let Some(before) = store.branch_counters(branch)? else {
        return Ok(Step::Ended(None));
    };
    let counting = Counting {
        branch,
        page_rows,
        before,
        reached: RunId(0),
        count: ChildCount::default(),
    };
    counting.page(store)
}

impl Counting {
    /// Counts one page, and ends after the last one.
    pub fn page(mut self, store: &dyn Store) -> StoreResult<Step> {
        let through = self.before.last_child;
        if self.reached < through {
            let (count, last) =
                store.count_children(self.branch, self.reached, through, self.page_rows)?;
            self.count += count;
            self.reached = last;
        }
        if self.reached < through {
            return Ok(Step::More(self));
        }
        let after = store.branch_counters(self.branch)?;
        Ok(Step::Ended(after.map(|after| Counted {
            before: self.before,
            after,
            count: self.count,
        })))
    }
}

impl Counted {
    /// Whether the counter may be right; see the module.
    #[must_use]
    pub fn holds(&self) -> bool {
        let dispatched = self.after.spawned.saturating_sub(self.before.spawned);
        let unfinished = self.count.unfinished;
        self.count.children <= self.before.spawned
            && unfinished <= self.before.pending
            && self.after.pending <= unfinished + dispatched
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(before: (u64, u64), unfinished: u64, after: (u64, u64)) -> Counted {
        let counters = |(spawned, pending)| BranchCounters {
            sealed: true,
            spawned,
            pending,
            last_child: RunId(9),
        };
        Counted {
            before: counters(before),
            after: counters(after),
            count: ChildCount {
                children: before.0,
                unfinished,
                never_started: 0,
            },
        }
    }

    #[test]
    fn a_counter_that_stands_still_has_to_be_exact() {
        assert!(counted((5, 3), 3, (5, 3)).holds());
        assert!(!counted((5, 3), 2, (5, 3)).holds());
        assert!(!counted((5, 3), 4, (5, 3)).holds());
        assert!(counted((0, 0), 0, (0, 0)).holds());
    }

    #[test]
    fn more_children_than_were_dispatched_are_a_contradiction() {
        let mut torn = counted((5, 3), 3, (5, 3));
        torn.count.children = 6;
        assert!(!torn.holds());
        torn.count.children = 4;
        assert!(torn.holds(), "one that is missing proves nothing");
    }

    proptest! {
        /// Children of which each is dispatched before or during the count, and finishes before, during
        /// or after it, and is counted at some moment; the counter is off by `error`.
        #[test]
        fn a_right_counter_always_holds_and_a_wrong_one_never_does_when_nothing_moves(
            early in prop::collection::vec((0_u8..12, 1_u8..9), 0..40),
            late in prop::collection::vec((1_u8..9, 0_u8..12), 0..20),
            error in -3_i64..4,
        ) {
            // The count begins at 0 and ends at 9: a child that finishes at 0 was completed before.
            let begin = early.iter().filter(|(done, _)| *done > 0).count() as u64;
            let seen = early.iter().filter(|(done, look)| done > look).count() as u64;
            let end = early.iter().filter(|(done, _)| *done > 9).count() as u64
                + late.iter().filter(|(born, done)| done > &9 && born < &9).count() as u64;
            let born = late.iter().filter(|(born, _)| *born < 9).count() as u64;
            let spawned = early.len() as u64;
            let right = counted((spawned, begin), seen, (spawned + born, end));
            prop_assert!(right.holds(), "{right:?}");
            let still = late.is_empty() && begin == end;
            let off = |pending: u64| pending.checked_add_signed(error);
            if let (true, Some(wrong)) = (still && error != 0, off(begin)) {
                let wrong = counted((spawned, wrong), seen, (spawned, wrong));
                prop_assert!(!wrong.holds(), "{wrong:?}");
            }
        }
    }
}
