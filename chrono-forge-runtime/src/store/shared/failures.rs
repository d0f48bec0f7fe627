//! Pages of failed attempts of children.
//!
//! First it is found how far a page of children goes, then what failed among them. A page of failures that
//! is full before its children end leaves a rest, which the next page begins with.

use diesel::prelude::*;

use super::completions::PAGE_BYTES;
use crate::record::{ChildFailure, FailurePage, FailurePlace, FailureRest, RunId};

/// Which failed attempts to read, in the order of [`Store::failures`](crate::store::Store::failures).
pub(in crate::store) enum Failures<'a> {
    /// Of one record of a child, behind an attempt.
    Step(RunId, &'a FailureRest),
    /// Of the records of a child behind that one.
    LaterSteps(RunId, &'a FailureRest),
    /// Of the children of the spawn behind the first, up to the second.
    Children(RunId, RunId),
}

/// How a store reads the parts of a page.
pub(in crate::store) trait Source {
    /// The next children: how many, and the last of them (run 0 when there is none).
    fn children(&mut self, after: RunId, limit: u32) -> QueryResult<(u64, RunId)>;

    /// Adds rows to the page while it has room.
    fn load(&mut self, what: Failures<'_>, page: &mut Page) -> QueryResult<()>;
}

/// A page; see [`Store::failures`](crate::store::Store::failures).
pub(in crate::store) fn page(
    source: &mut impl Source,
    from: &FailurePlace,
    children: u32,
    limit: u32,
) -> QueryResult<FailurePage> {
    let mut page = Page::new(limit);
    let (children, until) = match &from.rest {
        None => source.children(from.child, children)?,
        Some(rest) => {
            page.load(source, Failures::Step(from.child, rest))?;
            page.load(source, Failures::LaterSteps(from.child, rest))?;
            (0, rest.until)
        }
    };
    if from.child < until {
        page.load(source, Failures::Children(from.child, until))?;
    }
    let end = FailurePlace {
        child: until,
        rest: None,
    };
    Ok(FailurePage {
        next: page.rest(until).unwrap_or(end),
        failures: page.failures,
        children,
    })
}

/// A page that fills.
pub(in crate::store) struct Page {
    failures: Vec<ChildFailure>,
    /// The child of the last failure.
    child: RunId,
    limit: u32,
    bytes: usize,
}

impl Page {
    fn new(limit: u32) -> Self {
        Self {
            failures: Vec::new(),
            child: RunId(0),
            limit,
            bytes: 0,
        }
    }

    /// Rows that it can still take.
    pub(in crate::store) fn room(&self) -> u32 {
        if self.bytes >= PAGE_BYTES {
            return 0;
        }
        let have = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        self.limit.saturating_sub(have)
    }

    fn load(&mut self, source: &mut impl Source, what: Failures<'_>) -> QueryResult<()> {
        match self.room() {
            0 => Ok(()),
            _ => source.load(what, self),
        }
    }

    /// Takes a failure of this child; an empty step means its body. Answers whether there is room for another.
    pub(in crate::store) fn push(&mut self, child: RunId, mut failure: ChildFailure) -> bool {
        self.child = child;
        self.bytes += failure.class.len() + failure.message.len();
        failure.step = failure.step.filter(|step| !step.is_empty());
        self.failures.push(failure);
        self.room() > 0
    }

    /// Where the next page goes on when this one is full.
    fn rest(&self, until: RunId) -> Option<FailurePlace> {
        let last = self.failures.last().filter(|_| self.room() == 0)?;
        let rest = FailureRest {
            step: last.step.clone().unwrap_or_default(),
            attempt: last.attempt,
            until,
        };
        Some(FailurePlace {
            child: self.child,
            rest: Some(rest),
        })
    }
}
