//! Reading failed attempts of children, in pages: index walks, none of which sorts more than one child's.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};

use super::bind::{Bind, instant};
use super::results::{LAST, of_spawn, spawn_binds};
use super::statement::Stmt;
use crate::record::{ChildFailure, FailurePage, FailurePlace, RunId, SpawnPath};
use crate::store::shared::codes::{count, unsigned};
use crate::store::shared::completions::PAGE_BYTES;
use crate::store::shared::failures::{self, Failures, Page, Source};

/// How many children a page has, and the last of them.
pub(super) const CHILDREN: &str = concat!(
    "
SELECT count(*), coalesce(max(c.id), 0) FROM (
SELECT w.id",
    of_spawn!(),
    "
ORDER BY w.parent_execution_log_id, w.id
LIMIT ?) AS c"
);

/// The expression is the one that the index of attempts has. As with outputs, the server adds the lengths up.
macro_rules! failures {
    ($from:expr) => {
        concat!(
            "
SELECT p.workflow_id, p.key, p.step, p.attempt, p.error_class, p.error_message, p.created_at
FROM (
    SELECT f.*, sum(f.bytes) OVER (
            ORDER BY f.workflow_id, f.step, f.attempt ROWS UNBOUNDED PRECEDING
        ) - f.bytes AS behind
    FROM (
SELECT e.workflow_id, w.key, coalesce(e.step_name, '') AS step, e.attempt, e.error_class,
    e.error_message, e.created_at,
    octet_length(e.error_class) + octet_length(e.error_message) AS bytes",
            $from,
            "
ORDER BY w.parent_execution_log_id, w.id, coalesce(e.step_name, ''), e.attempt
LIMIT ?
    ) AS f
) AS p
WHERE p.behind < ?
ORDER BY p.workflow_id, p.step, p.attempt"
        )
    };
}

pub(super) const OF_CHILDREN: &str = failures!(of_spawn!(
    "
JOIN chrono_forge_error_logs AS e ON e.workflow_id = w.id"
));

pub(super) const OF_STEP: &str = failures!(
    "
FROM chrono_forge_workflows AS w
JOIN chrono_forge_error_logs AS e ON e.workflow_id = w.id
WHERE w.id = ? AND coalesce(e.step_name, '') = ? AND e.attempt > ?"
);

pub(super) const OF_LATER_STEPS: &str = failures!(
    "
FROM chrono_forge_workflows AS w
JOIN chrono_forge_error_logs AS e ON e.workflow_id = w.id
WHERE w.id = ? AND coalesce(e.step_name, '') > ?"
);

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[CHILDREN, OF_CHILDREN, OF_STEP, OF_LATER_STEPS];

/// A page; see [`Store::failures`](crate::store::Store::failures).
pub(super) fn page(
    conn: &mut PgConnection,
    spawn: &SpawnPath,
    from: &FailurePlace,
    children: u32,
    limit: u32,
) -> QueryResult<FailurePage> {
    failures::page(&mut OfSpawn { conn, spawn }, from, children, limit)
}

/// The failures of a spawn's children.
struct OfSpawn<'a> {
    conn: &'a mut PgConnection,
    spawn: &'a SpawnPath,
}

impl Source for OfSpawn<'_> {
    fn children(&mut self, after: RunId, limit: u32) -> QueryResult<(u64, RunId)> {
        let mut binds = spawn_binds(self.spawn, after, LAST);
        binds.push(limit.into());
        let rows: Vec<(i64, i64)> =
            Stmt::<(BigInt, BigInt)>::new(CHILDREN, &binds).load(self.conn)?;
        let (children, last) = rows.first().copied().unwrap_or_default();
        Ok((unsigned(children), RunId(last)))
    }

    fn load(&mut self, what: Failures<'_>, page: &mut Page) -> QueryResult<()> {
        type Columns = (BigInt, Text, Text, BigInt, Text, Text, Timestamptz);
        type Row = (i64, String, String, i64, String, String, PgTimestamp);
        let (sql, mut binds): (_, Vec<Bind<'_>>) = match what {
            Failures::Step(child, rest) => {
                let place = vec![child.0.into(), (&rest.step).into(), rest.attempt.into()];
                (OF_STEP, place)
            }
            Failures::LaterSteps(child, rest) => {
                (OF_LATER_STEPS, vec![child.0.into(), (&rest.step).into()])
            }
            Failures::Children(after, until) => {
                let binds = spawn_binds(self.spawn, after, until);
                (OF_CHILDREN, binds)
            }
        };
        binds.extend([page.room().into(), Bind::Int(PAGE_BYTES as i64)]);
        let rows: Vec<Row> = Stmt::<Columns>::new(sql, &binds).load(self.conn)?;
        for (id, child, step, attempt, class, message, at) in rows {
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
