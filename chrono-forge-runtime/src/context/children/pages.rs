//! Where a reader of results stands: a page in memory and how many results are left. No I/O.

use std::vec;

use crate::record::{Json, RunId};

/// Results read at once, in one short transaction.
pub(super) const PAGE_ROWS: u32 = 500;

/// A completed child's id, key and output.
pub(super) type Row = (RunId, String, Json);

/// A position among the results of a spawn, in order of dispatch.
#[derive(Debug)]
pub(super) struct Pages {
    page: vec::IntoIter<Row>,
    after: RunId,
    left: u64,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A result.
    Row(Row),
    /// Read at most so many results after this run, and give them to [`Pages::fill`].
    Read { after: RunId, limit: u32 },
    /// Every result was given.
    End,
}

impl Pages {
    /// The position before the first of `len` results.
    pub(super) fn new(len: u64) -> Self {
        Self {
            page: Vec::new().into_iter(),
            after: RunId(0),
            left: len,
        }
    }

    /// How many results are still to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next result of the page, or what to do without one.
    pub(super) fn next(&mut self) -> Next {
        if let Some(row) = self.page.next() {
            self.after = row.0;
            self.left = self.left.saturating_sub(1);
            return Next::Row(row);
        }
        match u32::try_from(self.left) {
            Ok(0) => Next::End,
            Ok(left) => self.read(left.min(PAGE_ROWS)),
            Err(_) => self.read(PAGE_ROWS),
        }
    }

    fn read(&self, limit: u32) -> Next {
        let after = self.after;
        Next::Read { after, limit }
    }

    /// Takes a page that was read; `false` when it is empty although results are missing, after which
    /// nothing comes any more.
    #[must_use]
    pub(super) fn fill(&mut self, page: Vec<Row>) -> bool {
        if page.is_empty() {
            self.left = 0;
            return false;
        }
        self.page = page.into_iter();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Children 1, 2, .. `have`, of which a reader expects `len`.
    fn read_all(len: u64, have: i64, page_rows: u32) -> (Vec<i64>, usize, usize, bool) {
        let mut pages = Pages::new(len);
        let (mut seen, mut reads, mut most, mut is_whole) = (Vec::new(), 0, 0, true);
        loop {
            match pages.next() {
                Next::Row((id, ..)) => seen.push(id.0),
                Next::Read { after, limit } => {
                    reads += 1;
                    let to = have.min(after.0 + i64::from(limit.min(page_rows)));
                    let row = |id| (RunId(id), format!("p$b$s${id}"), Json::from("1"));
                    let page: Vec<Row> = (after.0 + 1..=to).map(row).collect();
                    most = most.max(page.len());
                    is_whole &= pages.fill(page);
                }
                Next::End => return (seen, reads, most, is_whole),
            }
        }
    }

    #[test]
    fn a_read_is_a_page_and_no_more_than_a_page_is_in_memory() {
        for (len, reads) in [(0, 0), (1, 1), (500, 1), (501, 2), (100_000, 200)] {
            let (seen, took, most, is_whole) = read_all(len, 1_000_000, PAGE_ROWS);
            assert!(seen.into_iter().eq(1..=len as i64), "{len}");
            assert_eq!((took, is_whole), (reads, true), "{len}");
            assert!(most <= PAGE_ROWS as usize, "{most}");
        }
    }

    #[test]
    fn a_page_that_is_short_because_its_results_are_large_is_not_the_last() {
        let (seen, reads, most, is_whole) = read_all(10, 10, 3);
        assert!(seen.into_iter().eq(1..=10));
        assert_eq!((reads, most, is_whole), (4, 3, true));
    }

    #[test]
    fn a_missing_result_is_told_once_and_ends_it() {
        let (seen, reads, _, is_whole) = read_all(501, 500, PAGE_ROWS);
        assert_eq!((seen.len(), reads, is_whole), (500, 2, false));
    }
}
