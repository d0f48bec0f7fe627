//! Which rows of a source have a child already.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::record::RunId;
use crate::store::postgres::bind::names;
use crate::store::postgres::statement::Stmt;

/// A key is unique within a workflow, and the closure chooses the workflow anew for each child. So the
/// names are walked first, one look-up each, and those kept that have a child of this spawn: nearly
/// always one. Then each key is a look-up under each of them.
pub(super) const EXISTING_CHILDREN: &str = "
WITH RECURSIVE names (workflow) AS (
    (SELECT w.workflow FROM chrono_forge_workflows AS w ORDER BY w.workflow LIMIT 1)
    UNION ALL
    SELECT n.workflow FROM names AS g
    CROSS JOIN LATERAL (
        SELECT w.workflow FROM chrono_forge_workflows AS w
        WHERE w.workflow > g.workflow ORDER BY w.workflow LIMIT 1
    ) AS n
),
spawned (workflow) AS MATERIALIZED (
    SELECT g.workflow FROM names AS g
    CROSS JOIN LATERAL (
        SELECT 1 FROM chrono_forge_workflows AS w
        WHERE w.workflow = g.workflow AND w.key >= ?::text || '$' AND w.key < ?::text || '%'
        LIMIT 1
    ) AS any_child
)
SELECT c.key
FROM spawned AS v
CROSS JOIN unnest(?) AS j (key)
CROSS JOIN LATERAL (
    SELECT w.key, w.parent_execution_log_id FROM chrono_forge_workflows AS w
    WHERE w.workflow = v.workflow AND w.key = j.key LIMIT 1
) AS c
WHERE c.parent_execution_log_id = (
    SELECT l.id FROM chrono_forge_execution_logs AS l WHERE l.workflow_id = ? AND l.step_name = ?
)";

/// Keys that exist; see [`Store::existing_children`](crate::store::Store::existing_children).
pub(in crate::store::postgres) fn existing_children(
    conn: &mut PgConnection,
    branch: (RunId, &str),
    spawn_key: &str,
    keys: &[String],
) -> QueryResult<Vec<String>> {
    let (run, step_name) = branch;
    let binds = [
        spawn_key.into(),
        spawn_key.into(),
        names(keys),
        run.0.into(),
        step_name.into(),
    ];
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(EXISTING_CHILDREN, &binds).load(conn)?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}
