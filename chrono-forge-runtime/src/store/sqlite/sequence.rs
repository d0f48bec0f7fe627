//! Ids of new runs, given out before the rows are written.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::statement::{Stmt, sql};
use crate::record::RunId;

sql! {
    /// The last id, also where the sequence was set back behind the rows.
    struct Last = "
SELECT max(
    ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'chrono_forge_workflows'), 0),
    ifnull((SELECT max(id) FROM chrono_forge_workflows), 0)
)";
}

/// The next ids in order. Only right inside the transaction that inserts the rows; SQLite raises
/// its sequence by the ids it sees.
pub(super) fn next_runs(
    conn: &mut SqliteConnection,
    count: usize,
) -> QueryResult<impl Iterator<Item = RunId> + use<>> {
    let last: Vec<(i64,)> = Stmt::<(BigInt,), Last>::of(&[]).load(conn)?;
    let last = last.first().map_or(0, |(seq,)| *seq);
    Ok((last + 1..).take(count).map(RunId))
}
