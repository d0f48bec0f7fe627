//! Which application owns the name of a workflow.

use diesel::prelude::*;
use diesel::sql_types::Text;
use jiff::Timestamp;

use super::bind::name_list;
use super::statement::Stmt;
use crate::record::Belonging;

const OWNERS: &str = "
SELECT a.workflow, a.application
FROM json_each(?) AS name
CROSS JOIN chrono_forge_applications AS a ON a.workflow = name.value";

const ENTER: &str = "
INSERT INTO chrono_forge_applications (workflow, application, since)
SELECT pair.value ->> 0, pair.value ->> 1, ? FROM json_each(?) AS pair WHERE true
ON CONFLICT (workflow) DO NOTHING";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[OWNERS, ENTER];

/// See [`Store::applications`](crate::store::Store::applications).
pub(super) fn of(conn: &mut SqliteConnection, workflows: &[String]) -> QueryResult<Vec<Belonging>> {
    let rows: Vec<(String, String)> =
        Stmt::<(Text, Text)>::new(OWNERS, &[name_list(workflows).into()]).load(conn)?;
    Ok(rows.into_iter().map(Belonging::from).collect())
}

/// See [`Writer::enter_workflows`](crate::store::Writer::enter_workflows).
pub(super) fn enter(
    conn: &mut SqliteConnection,
    workflows: &[Belonging],
    now: Timestamp,
) -> QueryResult<Vec<Belonging>> {
    let names: Vec<String> = workflows.iter().map(|it| it.workflow.clone()).collect();
    let owners = of(conn, &names)?;
    if owners.len() == workflows.len() || !owners.iter().all(|owner| workflows.contains(owner)) {
        return Ok(owners);
    }
    let pair = |it: &Belonging| [it.workflow.clone(), it.application.clone()];
    let pairs: Vec<[String; 2]> = workflows.iter().map(pair).collect();
    let pairs = serde_json::Value::from_iter(pairs.into_iter().map(Vec::from)).to_string();
    Stmt::<()>::new(ENTER, &[now.into(), pairs.into()]).execute(conn)?;
    of(conn, &names)
}
