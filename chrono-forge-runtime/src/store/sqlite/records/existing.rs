//! Which rows of a source have a child already.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::record::RunId;
use crate::store::sqlite::bind::name_list;
use crate::store::sqlite::statement::Stmt;

/// A look-up for each key: the closure chooses the workflow anew for each child, so there may be
/// one of any.
pub(in crate::store::sqlite) const EXISTING_CHILDREN: &str = "
SELECT j.value
FROM json_each(?) AS j
CROSS JOIN chrono_forge_execution_logs AS l ON l.workflow_id = ? AND l.step_name = ?
WHERE EXISTS (
    SELECT 1 FROM chrono_forge_workflows AS w
    WHERE w.key = j.value AND ifnull(w.parent_execution_log_id, 0) = l.id
)";

/// Keys that exist; see [`Store::existing_children`](crate::store::Store::existing_children).
pub(in crate::store::sqlite) fn existing_children(
    conn: &mut SqliteConnection,
    (run, branch): (RunId, &str),
    keys: &[String],
) -> QueryResult<Vec<String>> {
    let binds = [name_list(keys).into(), run.0.into(), branch.into()];
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(EXISTING_CHILDREN, &binds).load(conn)?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}
