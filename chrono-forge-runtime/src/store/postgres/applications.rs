//! Which application owns the name of a workflow.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use jiff::Timestamp;

use super::bind::{names, texts};
use super::statement::Stmt;
use crate::record::Belonging;

const OWNERS: &str = "
SELECT a.workflow, a.application
FROM unnest(?) AS name (value)
CROSS JOIN LATERAL (
    SELECT a.workflow, a.application FROM chrono_forge_applications AS a
    WHERE a.workflow = name.value LIMIT 1
) AS a";

/// In the order of the names, so that two who enter the same ones wait for each other in a row.
const ENTER: &str = "
INSERT INTO chrono_forge_applications (workflow, application, since)
SELECT pair.workflow, pair.application, ? FROM unnest(?, ?) AS pair (workflow, application)
ORDER BY pair.workflow
ON CONFLICT (workflow) DO NOTHING";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OWNERS, ENTER];

/// See [`Store::applications`](crate::store::Store::applications).
pub(super) fn of(conn: &mut PgConnection, workflows: &[String]) -> QueryResult<Vec<Belonging>> {
    let rows: Vec<(String, String)> =
        Stmt::<(Text, Text)>::new(OWNERS, &[names(workflows)]).load(conn)?;
    Ok(rows.into_iter().map(Belonging::from).collect())
}

/// See [`Writer::enter_workflows`](crate::store::Writer::enter_workflows). Each statement sees what
/// was committed before it, so the last one finds whoever came first.
pub(super) fn enter(
    conn: &mut PgConnection,
    workflows: &[Belonging],
    now: Timestamp,
) -> QueryResult<Vec<Belonging>> {
    let asked: Vec<String> = workflows.iter().map(|it| it.workflow.clone()).collect();
    let owners = of(conn, &asked)?;
    if owners.len() == workflows.len() || !owners.iter().all(|owner| workflows.contains(owner)) {
        return Ok(owners);
    }
    let binds = [
        now.into(),
        names(&asked),
        texts(workflows.iter().map(|it| &*it.application)),
    ];
    Stmt::<()>::new(ENTER, &binds).execute(conn)?;
    of(conn, &asked)
}
