//! Opening a file that exists: one whose last owner did not close it is looked through first.

use std::path::Path;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::connection::{self, Purpose, patiently};
use super::log;
use super::statement::Stmt;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::telemetry::TARGET;

/// A file up to this size is looked through whoever used it last: that takes a moment only.
const ALWAYS_MAX: u64 = 4 << 20;

/// A larger file is not looked through: it would take longer than a start should.
const LOOKED_THROUGH_MAX: u64 = 256 << 20;

/// Opens the connection that writes. SQLite removes the log when the last connection is closed: where one is found,
/// somebody is at work or did not come to that.
pub(super) fn open(
    path: &Path,
    (url, write): (&str, Purpose),
    patience: Duration,
) -> StoreResult<SqliteConnection> {
    let was_closed = !has_log(path);
    let mut conn = connection::open(url, write, patience)?;
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    if was_closed && size > ALWAYS_MAX {
        return Ok(conn);
    }
    if size > LOOKED_THROUGH_MAX {
        tracing::info!(target: TARGET, file = %path.display(), size, "the file was not closed by who used it last; it is too large to be looked through here: `PRAGMA quick_check` does it");
        return Ok(conn);
    }
    match look_through(&mut conn, path, patience) {
        Ok(()) => Ok(conn),
        Err(error) => {
            // Its close would write a log that may be another file's into this one, and take it away.
            std::mem::forget(conn);
            Err(error)
        }
    }
}

fn has_log(path: &Path) -> bool {
    std::fs::metadata(log::path_of(path)).is_ok_and(|log| log.len() > 0)
}

fn look_through(conn: &mut SqliteConnection, path: &Path, patience: Duration) -> StoreResult<()> {
    let looked = patiently(patience, || {
        Stmt::<(Text,)>::new("PRAGMA quick_check(1)", &[]).load::<(String,)>(conn)
    });
    let found = match looked {
        Ok(found) => found.into_iter().map(|(line,)| line).next(),
        Err(error) => Some(error.to_string()),
    };
    match found {
        Some(found) if found != "ok" => {
            let message = format!(
                "{} is malformed: {found}. It was not closed by who used it last, or was replaced while it was in \
                 use; put a whole copy in its place, without the `-wal` and `-shm` files beside it",
                path.display()
            );
            Err(StoreError::new("open", StoreErrorKind::Corrupt, message))
        }
        _ => Ok(()),
    }
}
