//! Which rows of a source have a child already.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::record::RunId;
use crate::store::postgres::bind::names;
use crate::store::postgres::statement::Stmt;

/// A look-up for each key: the closure chooses the workflow anew for each child, so there may be
/// one of any. Long keys are in an index of their own.
pub(super) const EXISTING_CHILDREN: &str = "
SELECT v.key
FROM unnest(?) AS v (key)
CROSS JOIN (
    SELECT l.id FROM chrono_forge_execution_logs AS l WHERE l.workflow_id = ? AND l.step_name = ?
) AS l
WHERE EXISTS (
    SELECT 1 FROM chrono_forge_workflows AS w
    WHERE w.key = v.key AND octet_length(w.key) <= 1024
        AND coalesce(w.parent_execution_log_id, 0) = l.id
) OR octet_length(v.key) > 1024 AND EXISTS (
    SELECT 1 FROM chrono_forge_workflows AS w
    WHERE hashtextextended(w.key, 0) = hashtextextended(v.key, 0)
        AND hashtextextended(w.key, 1) = hashtextextended(v.key, 1)
        AND w.key = v.key AND octet_length(w.key) > 1024
        AND coalesce(w.parent_execution_log_id, 0) = l.id
)";

/// Keys that exist; see [`Store::existing_children`](crate::store::Store::existing_children).
pub(in crate::store::postgres) fn existing_children(
    conn: &mut PgConnection,
    (run, branch): (RunId, &str),
    keys: &[String],
) -> QueryResult<Vec<String>> {
    let binds = [names(keys), run.0.into(), branch.into()];
    let rows: Vec<(String,)> = Stmt::<(Text,)>::new(EXISTING_CHILDREN, &binds).load(conn)?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}
