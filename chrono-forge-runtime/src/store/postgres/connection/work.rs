//! Closures that run on a connection, without the type of what they return: retries and
//! transactions around them are compiled once, and not for each type.

use diesel::QueryResult;
use diesel::pg::PgConnection;

use crate::store::StoreResult;

/// A closure that keeps what it returns to itself.
pub(super) type Work<'a> = dyn FnMut(&mut PgConnection) -> QueryResult<()> + 'a;

/// Lets `run` run `work`, as often as it has to, and returns what `work` returned the last time.
///
/// # Errors
/// Those of `run`.
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
    // `run` succeeds only after `work` has.
    value.ok_or_else(|| super::lost_line(operation))
}
