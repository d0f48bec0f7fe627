//! Reading failed attempts of children, in pages: index walks, none of which sorts.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::bind::{Bind, instant};
use super::results::{of_spawn, spawn_binds};
use super::statement::Stmt;
use crate::record::{ChildFailure, FailurePage, FailurePlace, RunId, SpawnPath};
use crate::store::shared::codes::{count, unsigned};
use crate::store::shared::failures::{self, Failures, Page, Source};

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
    failures::page(&mut OfSpawn { conn, spawn }, from, children, limit)
}

/// The failures of a spawn's children.
struct OfSpawn<'a> {
    conn: &'a mut SqliteConnection,
    spawn: &'a SpawnPath,
}

impl Source for OfSpawn<'_> {
    fn children(&mut self, after: RunId, limit: u32) -> QueryResult<(u64, RunId)> {
        let mut binds = Vec::from(spawn_binds(self.spawn, after));
        binds.push(limit.into());
        let rows: Vec<(i64, i64)> =
            Stmt::<(BigInt, BigInt)>::new(CHILDREN, &binds).load(self.conn)?;
        let (children, last) = rows.first().copied().unwrap_or_default();
        Ok((unsigned(children), RunId(last)))
    }

    fn load(&mut self, what: Failures<'_>, page: &mut Page) -> QueryResult<()> {
        type Columns = (BigInt, Text, Text, BigInt, Text, Text, BigInt);
        type Row = (i64, String, String, i64, String, String, i64);
        let (sql, mut binds): (_, Vec<Bind<'_>>) = match what {
            Failures::Step(child, rest) => {
                let place = vec![child.0.into(), (&rest.step).into(), rest.attempt.into()];
                (OF_STEP, place)
            }
            Failures::LaterSteps(child, rest) => {
                (OF_LATER_STEPS, vec![child.0.into(), (&rest.step).into()])
            }
            Failures::Children(after, until) => {
                let mut binds = Vec::from(spawn_binds(self.spawn, after));
                binds.push(until.0.into());
                (OF_CHILDREN, binds)
            }
        };
        binds.push(page.room().into());
        let statement = Stmt::<Columns>::new(sql, &binds);
        for row in statement.load_iter::<Row, DefaultLoadingMode>(self.conn)? {
            let (id, child, step, attempt, class, message, at) = row?;
            let failure = ChildFailure {
                child,
                step: Some(step),
                attempt: count(attempt),
                class,
                message,
                at: instant(at),
            };
            if !page.push(RunId(id), failure) {
                break;
            }
        }
        Ok(())
    }
}
