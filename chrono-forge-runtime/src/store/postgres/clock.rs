//! The server's clock: the one that all processes share.

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use jiff::Timestamp;

use super::bind::instant;
use super::statement::Stmt;

/// The present instant, not that of the transaction's beginning.
pub(super) fn now(conn: &mut PgConnection) -> QueryResult<Timestamp> {
    let rows: Vec<(PgTimestamp,)> =
        Stmt::<(Timestamptz,)>::new("SELECT clock_timestamp()", &[]).load(conn)?;
    let (now,) = rows.first().ok_or(diesel::result::Error::NotFound)?;
    Ok(instant(*now))
}
