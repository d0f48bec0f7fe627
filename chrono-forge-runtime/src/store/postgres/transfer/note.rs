//! Which files were imported, and which one is being imported.

use diesel::connection::SimpleConnection;
use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamptz};
use jiff::Timestamp;

use crate::store::postgres::bind::instant;
use crate::store::postgres::statement::Stmt;
use crate::store::transfer::ImportNote;

/// What is known of the import of this file.
pub(super) fn of(conn: &mut PgConnection, id: &str) -> QueryResult<ImportNote> {
    let sql = "SELECT finished_at FROM chrono_forge_imports WHERE id = ?";
    let own: Vec<(Option<PgTimestamp>,)> =
        Stmt::<(Nullable<Timestamptz>,)>::new(sql, &[id.into()]).load(conn)?;
    Ok(match own.first() {
        Some((Some(_),)) => ImportNote::Finished,
        Some((None,)) => ImportNote::Begun,
        None => unfinished(conn)?.map_or(ImportNote::New, ImportNote::Other),
    })
}

/// Since when an import is unfinished.
pub(super) fn unfinished(conn: &mut PgConnection) -> QueryResult<Option<Timestamp>> {
    let sql = "SELECT started_at FROM chrono_forge_imports WHERE finished_at IS NULL LIMIT 1";
    let rows: Vec<(PgTimestamp,)> = Stmt::<(Timestamptz,)>::new(sql, &[]).load(conn)?;
    Ok(rows.first().map(|(at,)| instant(*at)))
}

/// Begins an import of which nothing is known; answers what was. Two that begin at the same time would not see
/// each other's rows, hence the lock.
pub(super) fn begin(conn: &mut PgConnection, id: &str, now: Timestamp) -> QueryResult<ImportNote> {
    conn.batch_execute("LOCK TABLE chrono_forge_imports IN EXCLUSIVE MODE")?;
    let note = of(conn, id)?;
    if note == ImportNote::New {
        let sql = "INSERT INTO chrono_forge_imports (id, started_at) VALUES (?, ?)";
        Stmt::<()>::new(sql, &[id.into(), now.into()]).execute(conn)?;
    }
    Ok(note)
}

/// The file is imported; the first instant stays.
pub(super) fn finish(conn: &mut PgConnection, id: &str, now: Timestamp) -> QueryResult<()> {
    let sql =
        "UPDATE chrono_forge_imports SET finished_at = ? WHERE id = ? AND finished_at IS NULL";
    Stmt::<()>::new(sql, &[now.into(), id.into()])
        .execute(conn)
        .map(drop)
}

/// Forgets an unfinished import.
pub(super) fn abandon(conn: &mut PgConnection, id: &str) -> QueryResult<()> {
    let sql = "DELETE FROM chrono_forge_imports WHERE id = ? AND finished_at IS NULL";
    Stmt::<()>::new(sql, &[id.into()]).execute(conn).map(drop)
}
