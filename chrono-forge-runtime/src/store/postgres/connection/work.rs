//! What runs on a connection, whatever it gives: the ways to run it are compiled once, and not for
//! each kind of value.

use diesel::QueryResult;
use diesel::pg::PgConnection;

use crate::store::StoreResult;

/// Something that runs on a connection, and keeps what it gave.
pub(super) type Work<'a> = dyn FnMut(&mut PgConnection) -> QueryResult<()> + 'a;

/// What `work` gave at the last time that `run` ran it.
pub(super) fn run<T>(
    operation: &'static str,
    mut work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    run: impl FnOnce(&mut Work<'_>) -> StoreResult<()>,
) -> StoreResult<T> {
    let mut value = None;
    run(&mut |conn| {
        value = Some(work(conn)?);
        Ok(())
    })?;
    // Nothing succeeds without it.
    value.ok_or_else(|| super::lost_line(operation))
}
