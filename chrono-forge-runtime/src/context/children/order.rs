//! The order of results: which of them the next page holds. No I/O but what it asks for.

use super::Handle;
use super::pages::Walk;
use crate::engine::reading::Reading;
use crate::record::{OutputRow, RunId};

/// Results read at once, in one short transaction.
pub(super) const PAGE_ROWS: u32 = 500;

/// A position among the results of a spawn.
#[derive(Debug)]
pub(super) struct Order {
    left: u64,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// By id, which is the order of dispatch: the last result that was read is all there is to know.
    Dispatch { after: RunId },
    /// Not known yet.
    Completion,
    /// All of the children, and how many of them were read.
    Listed { children: Vec<RunId>, read: usize },
}

/// What to read.
#[derive(Clone, Debug)]
enum Wanted {
    /// So many results after this child.
    After(RunId, u32),
    /// Which children there are, in the order in which they completed.
    List(u64),
    /// The results of these children.
    Of(Vec<RunId>),
}

/// What was read.
#[derive(Debug)]
pub(super) enum Found {
    Outputs(Vec<OutputRow>),
    List(Vec<RunId>),
}

impl Order {
    /// `len` results in order of dispatch.
    pub(super) fn of_dispatch(len: u64) -> Self {
        let way = Way::Dispatch { after: RunId(0) };
        Self { left: len, way }
    }

    /// `len` results in order of completion.
    pub(super) fn of_completion(len: u64) -> Self {
        let way = Way::Completion;
        Self { left: len, way }
    }

    fn wanted(&self) -> Wanted {
        let limit = u32::try_from(self.left).map_or(PAGE_ROWS, |left| left.min(PAGE_ROWS));
        match &self.way {
            Way::Dispatch { after } => Wanted::After(*after, limit),
            Way::Completion => Wanted::List(self.left),
            Way::Listed { children, read } => {
                let next = children.iter().skip(*read).take(limit as usize);
                Wanted::Of(next.copied().collect())
            }
        }
    }
}

impl Walk for Order {
    type Row = OutputRow;
    type Page = Found;

    fn left(&self) -> u64 {
        self.left
    }

    fn read(&self, handle: &Handle) -> Option<Reading<Found>> {
        let (pass, spawn) = handle.place()?;
        let wanted = self.wanted();
        Some(Reading::begin(pass, move |store| {
            Ok(match &wanted {
                Wanted::After(after, limit) => {
                    Found::Outputs(store.outputs(&spawn, *after, *limit)?)
                }
                Wanted::List(limit) => Found::List(store.completion_order(&spawn, *limit)?),
                // A listed id may be another run's by now, where the database was set back to an older copy.
                Wanted::Of(children) => Found::Outputs(
                    store
                        .outputs_of(children)?
                        .into_iter()
                        .take_while(|(_, key, _)| spawn.has(key))
                        .collect(),
                ),
            })
        }))
    }

    fn take(&mut self, page: Found) -> Option<Vec<OutputRow>> {
        let rows = match page {
            Found::List(children) => {
                self.way = Way::Listed { children, read: 0 };
                return Some(Vec::new());
            }
            Found::Outputs(rows) => rows,
        };
        let last = rows.last()?.0;
        self.left = self.left.saturating_sub(rows.len() as u64);
        match &mut self.way {
            Way::Dispatch { after } => *after = last,
            Way::Listed { read, .. } => *read += rows.len(),
            Way::Completion => {}
        }
        Some(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Json;

    /// What reading children 1, 2, .. `have` gives, of which a reader expects some.
    #[derive(Debug, Default)]
    struct Seen {
        children: Vec<i64>,
        reads: usize,
        most: usize,
        is_whole: bool,
    }

    fn read_all(mut order: Order, have: i64, page_rows: usize) -> Seen {
        let mut seen = Seen {
            is_whole: true,
            ..Seen::default()
        };
        while !order.is_over() {
            let ids: Vec<i64> = match order.wanted() {
                Wanted::List(limit) => {
                    let ids = (1..=have).rev().take(limit as usize);
                    order.take(Found::List(ids.map(RunId).collect()));
                    continue;
                }
                Wanted::After(after, limit) => (after.0 + 1..=have).take(limit as usize).collect(),
                Wanted::Of(children) => children.iter().map(|id| id.0).collect(),
            };
            let row = |id: &i64| (RunId(*id), format!("p$b$s${id}"), Json::from("1"));
            let page: Vec<OutputRow> = ids.iter().take(page_rows).map(row).collect();
            seen.reads += 1;
            seen.most = seen.most.max(page.len());
            match order.take(Found::Outputs(page)) {
                Some(rows) => seen.children.extend(rows.iter().map(|row| row.0.0)),
                None => {
                    seen.is_whole = false;
                    break;
                }
            }
        }
        seen
    }

    #[test]
    fn a_read_is_a_page_and_no_more_than_a_page_is_in_memory() {
        for (len, reads) in [(0, 0), (1, 1), (500, 1), (501, 2), (100_000, 200)] {
            let most = PAGE_ROWS as usize;
            let seen = read_all(Order::of_dispatch(len), 1_000_000, most);
            assert!(seen.children.iter().copied().eq(1..=len as i64), "{len}");
            assert_eq!((seen.reads, seen.is_whole), (reads, true), "{len}");
            assert!(seen.most <= most, "{}", seen.most);
            let listed = read_all(Order::of_completion(len), len as i64, most);
            let newest_first = (1..=len as i64).rev();
            assert!(listed.children.into_iter().eq(newest_first), "{len}");
            assert_eq!((listed.reads, listed.is_whole), (reads, true), "{len}");
        }
    }

    #[test]
    fn a_page_that_is_short_because_its_results_are_large_is_not_the_last() {
        for order in [Order::of_dispatch(10), Order::of_completion(10)] {
            let seen = read_all(order, 10, 3);
            assert_eq!((seen.children.len(), seen.reads, seen.most), (10, 4, 3));
            assert!(seen.is_whole);
        }
    }

    #[test]
    fn a_missing_result_is_told_once_and_ends_it() {
        for order in [Order::of_dispatch(501), Order::of_completion(501)] {
            let seen = read_all(order, 500, PAGE_ROWS as usize);
            assert_eq!((seen.children.len(), seen.reads), (500, 2));
            assert!(!seen.is_whole);
        }
    }
}
