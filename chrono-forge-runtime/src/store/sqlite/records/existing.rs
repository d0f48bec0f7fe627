//! Which rows of a source have a child already.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::record::RunId;
use crate::store::sqlite::bind::name_list;
use crate::store::sqlite::statement::Stmt;

/// A key is unique within a workflow, and the closure chooses the workflow anew for each child. So the
/// names are walked first, one look-up each, and those kept that have a child of this spawn: nearly
/// always one. Then each key is a look-up under each of them.
pub(in crate::store::sqlite) const EXISTING_CHILDREN: &str = "
WITH RECURSIVE names (workflow) AS (
    SELECT min(workflow) FROM chrono_forge_workflows
    UNION ALL
    SELECT (SELECT min(w.workflow) FROM chrono_forge_workflows AS w WHERE w.workflow > g.workflow)
    FROM names AS g WHERE g.workflow IS NOT NULL
),
spawned (workflow) AS MATERIALIZED (
    SELECT g.workflow FROM names AS g WHERE EXISTS (
        SELECT 1 FROM chrono_forge_workflows AS w
        WHERE w.workflow = g.workflow AND w.key >= ? || '$' AND w.key < ? || '%'
    )
)
SELECT w.key
FROM chrono_forge_execution_logs AS l
CROSS JOIN spawned AS v
CROSS JOIN json_each(?) AS j
CROSS JOIN chrono_forge_workflows AS w ON w.workflow = v.workflow AND w.key = j.value
WHERE l.workflow_id = ? AND l.step_name = ? AND +w.parent_execution_log_id = l.id";

/// Keys that exist; see [`Store::existing_children`](crate::store::Store::existing_children).
pub(in crate::store::sqlite) fn existing_children(
    conn: &mut SqliteConnection,
    branch: (RunId, &str),
    spawn_key: &str,
    keys: &[String],
) -> QueryResult<Vec<String>> {
    let (run, step_name) = branch;
    let binds = [
        spawn_key.into(),
        spawn_key.into(),
        name_list(keys).into(),
        run.0.into(),
        step_name.into(),
    ];
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(EXISTING_CHILDREN, &binds).load(conn)?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}
