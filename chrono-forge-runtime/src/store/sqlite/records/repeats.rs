//! The repeats of a run, found without walking through their repetitions.
//!
//! `repeat$k` stands before `repeat$k$<instant>` in the index, of which there may be millions. So each
//! look-up begins where the last name's repetitions end.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::record::RunId;
use crate::store::sqlite::statement::Stmt;

pub(in crate::store::sqlite) const NEXT: &str = "
SELECT l.step_name FROM chrono_forge_execution_logs AS l
WHERE l.workflow_id = ? AND l.step_name > ? AND l.step_name < 'repeat%'
ORDER BY l.step_name LIMIT 1";

const PREFIX: &str = "repeat$";

/// The names of the rows `repeat$<key>`.
pub(in crate::store::sqlite) fn names(
    conn: &mut SqliteConnection,
    run: RunId,
) -> QueryResult<Vec<String>> {
    let mut names = Vec::new();
    let mut after = PREFIX.to_owned();
    while let Some(name) = next(conn, run, &after)? {
        after = match repeat_of(&name) {
            // Instants are digits, a point and a sign, all of which come before a tilde.
            Some(repeat) => format!("{repeat}$~"),
            None => {
                names.push(name.clone());
                name
            }
        };
    }
    Ok(names)
}

fn next(conn: &mut SqliteConnection, run: RunId, after: &str) -> QueryResult<Option<String>> {
    let rows: Vec<(String,)> =
        Stmt::<(Text,)>::new(NEXT, &[run.0.into(), after.into()]).load(conn)?;
    Ok(rows.into_iter().next().map(|(name,)| name))
}

/// The row that a repetition belongs to; `None` for such a row itself.
fn repeat_of(name: &str) -> Option<&str> {
    let key = name.strip_prefix(PREFIX)?;
    let end = PREFIX.len() + key.find('$')?;
    name.get(..end)
}
