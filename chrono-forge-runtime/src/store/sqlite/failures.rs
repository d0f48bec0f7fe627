//! Reading failed attempts of children, in pages.
//!
//! First it is found how far a page of children goes, then what failed among them: index walks, none of
//! which sorts. A page of failures that is full before its children end leaves a rest, which the next
//! page begins with.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::bind::{Bind, instant};
use super::results::{PAGE_BYTES, of_spawn, spawn_binds};
use super::runs::count;
use super::statement::Stmt;
use crate::record::{ChildFailure, FailurePage, FailurePlace, FailureRest, RunId, SpawnPath};

/// How many children a page has, and the last of them.
pub(super) const CHILDREN: &str = concat!(
    "
SELECT count(*), ifnull(max(id), 0) FROM (
SELECT w.id AS id",
    of_spawn!(),
    "
ORDER BY w.id
LIMIT ?)"
);

/// The expression is the one that the index of attempts has.
macro_rules! failures {
    ($from:expr, $order:literal) => {
        concat!(
            "
SELECT e.workflow_id, w.key, ifnull(e.step_name, ''), e.attempt, e.error_class, e.error_message,
    e.created_at",
            $from,
            "
ORDER BY ",
            $order,
            "
LIMIT ?"
        )
    };
}

pub(super) const OF_CHILDREN: &str = failures!(
    concat!(
        of_spawn!("CROSS JOIN chrono_forge_error_logs AS e ON e.workflow_id = w.id"),
        " AND w.id <= ?"
    ),
    "w.id, ifnull(e.step_name, ''), e.attempt"
);

pub(super) const OF_STEP: &str = failures!(
    "
FROM chrono_forge_workflows AS w
CROSS JOIN chrono_forge_error_logs AS e ON e.workflow_id = w.id
WHERE w.id = ? AND ifnull(e.step_name, '') = ? AND e.attempt > ?",
    "e.attempt"
);

pub(super) const OF_LATER_STEPS: &str = failures!(
    "
FROM chrono_forge_workflows AS w
CROSS JOIN chrono_forge_error_logs AS e ON e.workflow_id = w.id
WHERE w.id = ? AND ifnull(e.step_name, '') > ?",
    "ifnull(e.step_name, ''), e.attempt"
);

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[CHILDREN, OF_CHILDREN, OF_STEP, OF_LATER_STEPS];

/// A page; see [`Store::failures`](crate::store::Store::failures).
pub(super) fn page(
    conn: &mut SqliteConnection,
    spawn: &SpawnPath,
    from: &FailurePlace,
    children: u32,
    limit: u32,
) -> QueryResult<FailurePage> {
    let mut page = Page::new(limit);
    let (children, until) = match &from.rest {
        None => some_children(conn, spawn, from.child, children)?,
        Some(rest) => {
            let (child, step) = (from.child.0, Bind::Text(&rest.step));
            page.load(conn, OF_STEP, vec![child.into(), step, rest.attempt.into()])?;
            page.load(
                conn,
                OF_LATER_STEPS,
                vec![child.into(), (&rest.step).into()],
            )?;
            (0, rest.until)
        }
    };
    if from.child < until {
        let mut binds = Vec::from(spawn_binds(spawn, from.child));
        binds.push(until.0.into());
        page.load(conn, OF_CHILDREN, binds)?;
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

/// The next children: how many, up to which.
fn some_children(
    conn: &mut SqliteConnection,
    spawn: &SpawnPath,
    after: RunId,
    children: u32,
) -> QueryResult<(u64, RunId)> {
    let mut binds = Vec::from(spawn_binds(spawn, after));
    binds.push(children.into());
    let rows: Vec<(i64, i64)> = Stmt::<(BigInt, BigInt)>::new(CHILDREN, &binds).load(conn)?;
    let (children, last) = rows.first().copied().unwrap_or_default();
    Ok((u64::try_from(children).unwrap_or(0), RunId(last)))
}

/// A page that fills.
struct Page {
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

    fn room(&self) -> u32 {
        if self.bytes >= PAGE_BYTES {
            return 0;
        }
        let have = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        self.limit.saturating_sub(have)
    }

    /// Loads rows while there is room.
    fn load(
        &mut self,
        conn: &mut SqliteConnection,
        sql: &'static str,
        mut binds: Vec<Bind<'_>>,
    ) -> QueryResult<()> {
        type Columns = (BigInt, Text, Text, BigInt, Text, Text, BigInt);
        type Row = (i64, String, String, i64, String, String, i64);
        if self.room() == 0 {
            return Ok(());
        }
        binds.push(self.room().into());
        let statement = Stmt::<Columns>::new(sql, &binds);
        for row in statement.load_iter::<Row, DefaultLoadingMode>(conn)? {
            let (id, child, step, attempt, class, message, at) = row?;
            self.child = RunId(id);
            self.bytes += class.len() + message.len();
            self.failures.push(ChildFailure {
                child,
                step: Some(step).filter(|step| !step.is_empty()),
                attempt: count(attempt),
                class,
                message,
                at: instant(at),
            });
            if self.room() == 0 {
                break;
            }
        }
        Ok(())
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
