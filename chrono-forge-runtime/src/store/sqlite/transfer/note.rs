//! Which files were imported, and which one is being imported.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use jiff::Timestamp;

use crate::store::sqlite::bind::instant;
use crate::store::sqlite::statement::Stmt;
use crate::store::transfer::ImportNote;

/// What is known of the import of this file.
pub(super) fn of(conn: &mut SqliteConnection, id: &str) -> QueryResult<ImportNote> {
    let sql = "SELECT finished_at FROM chrono_forge_imports WHERE id = ?";
    let own: Vec<(Option<i64>,)> =
        Stmt::<(Nullable<BigInt>,)>::new(sql, &[id.into()]).load(conn)?;
    Ok(match own.first() {
        Some((Some(_),)) => ImportNote::Finished,
        Some((None,)) => ImportNote::Begun,
        None => unfinished(conn)?.map_or(ImportNote::New, ImportNote::Other),
    })
}

/// Since when an import is unfinished.
pub(super) fn unfinished(conn: &mut SqliteConnection) -> QueryResult<Option<Timestamp>> {
    let sql = "SELECT started_at FROM chrono_forge_imports WHERE finished_at IS NULL LIMIT 1";
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(sql, &[]).load(conn)?;
    Ok(rows.first().map(|(at,)| instant(*at)))
}

/// Begins an import of which nothing is known; answers what was.
pub(super) fn begin(
    conn: &mut SqliteConnection,
    id: &str,
    now: Timestamp,
) -> QueryResult<ImportNote> {
    let note = of(conn, id)?;
    if note == ImportNote::New {
        let sql = "INSERT INTO chrono_forge_imports (id, started_at) VALUES (?, ?)";
        Stmt::<()>::new(sql, &[id.into(), now.into()]).execute(conn)?;
    }
    Ok(note)
}

/// The file is imported; the first instant stays.
pub(super) fn finish(conn: &mut SqliteConnection, id: &str, now: Timestamp) -> QueryResult<()> {
    let sql =
        "UPDATE chrono_forge_imports SET finished_at = ? WHERE id = ? AND finished_at IS NULL";
    Stmt::<()>::new(sql, &[now.into(), id.into()])
        .execute(conn)
        .map(drop)
}

/// Forgets an unfinished import.
pub(super) fn abandon(conn: &mut SqliteConnection, id: &str) -> QueryResult<()> {
    let sql = "DELETE FROM chrono_forge_imports WHERE id = ? AND finished_at IS NULL";
    Stmt::<()>::new(sql, &[id.into()]).execute(conn).map(drop)
}
