//! The records and errors of a page of runs, read along with the runs.

use std::collections::VecDeque;

use crate::record::{ErrorCopy, RecordCopy, RunId};
use crate::store::StoreResult;
use crate::store::transfer::Snapshot;

/// The most rows of a page.
const ROWS: u32 = 2_000;

/// An error with its number.
pub(super) type ErrorRow = (i64, ErrorCopy);

/// What belongs to runs, ordered by run.
pub(super) trait Part: Sized {
    /// Its place in its run.
    type Place: Default;

    fn place(&self) -> Self::Place;

    fn page(
        snapshot: &mut dyn Snapshot,
        after: &(RunId, Self::Place),
        through: RunId,
    ) -> StoreResult<Vec<(RunId, Self)>>;
}

impl Part for RecordCopy {
    type Place = String;

    fn place(&self) -> String {
        self.name.clone()
    }

    fn page(
        snapshot: &mut dyn Snapshot,
        (run, name): &(RunId, String),
        through: RunId,
    ) -> StoreResult<Vec<(RunId, Self)>> {
        snapshot.records((*run, name), through, ROWS)
    }
}

impl Part for ErrorRow {
    type Place = i64;

    fn place(&self) -> i64 {
        self.0
    }

    fn page(
        snapshot: &mut dyn Snapshot,
        after: &(RunId, i64),
        through: RunId,
    ) -> StoreResult<Vec<(RunId, Self)>> {
        snapshot.errors(*after, through, ROWS)
    }
}

/// The parts of one kind, page after page.
pub(super) struct Rows<P: Part> {
    page: VecDeque<(RunId, P)>,
    after: (RunId, P::Place),
    through: RunId,
    is_over: bool,
}

impl<P: Part> Rows<P> {
    /// Those of the runs from `first` to `through`.
    pub(super) fn between(first: RunId, through: RunId) -> Self {
        Self {
            page: VecDeque::new(),
            // Every name follows the empty one, and every number follows 0.
            after: (first, P::Place::default()),
            through,
            is_over: false,
        }
    }

    /// The next part of this run. Runs are asked for in their order.
    pub(super) fn next_of(
        &mut self,
        run: RunId,
        snapshot: &mut dyn Snapshot,
    ) -> StoreResult<Option<P>> {
        loop {
            match self.page.front() {
                Some((owner, _)) if *owner > run => return Ok(None),
                Some((owner, _)) => {
                    let is_own = *owner == run;
                    let part = self.page.pop_front().filter(|_| is_own);
                    // What belongs to no run is left behind.
                    if let Some((_, part)) = part {
                        return Ok(Some(part));
                    }
                }
                None if self.is_over => return Ok(None),
                None => {
                    let page = P::page(snapshot, &self.after, self.through)?;
                    match page.last() {
                        Some((run, last)) => self.after = (*run, last.place()),
                        None => self.is_over = true,
                    }
                    self.page = page.into();
                }
            }
        }
    }
}
