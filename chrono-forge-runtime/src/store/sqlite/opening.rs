//! Opening a file that exists: one whose last owner did not close it is looked through first.
//!
//! Whoever did not close it has left a log. SQLite takes that for the log of whatever file is beside
//! it now: it writes it into another file, and takes it away from an empty one.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::connection::{self, Purpose, patiently};
use super::header::{self, Header};
use super::statement::Stmt;
use super::{fault, frames, log};
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
    let has_log = has_log(path);
    if has_log {
        look_beside_log(path, patience)?;
    }
    let mut conn = connection::open(url, write, patience)?;
    if !has_log && size_of(path) <= ALWAYS_MAX {
        look_through(&mut conn, path, patience)?;
    }
    Ok(conn)
}

/// On a connection that leaves everything as it is: the close of one that may write would write a
/// log that may be another file's into this one, and take it away.
fn look_beside_log(path: &Path, patience: Duration) -> StoreResult<()> {
    has_file(path)?;
    let file = header::keep(path).ok();
    let header = file.as_ref().and_then(|file| Header::of(file));
    let Some(url) = connection::read_only(path) else {
        return Ok(());
    };
    let mut conn = connection::open(&url, Purpose::Read, patience)?;
    if let (Some(file), Some(header)) = (file, header) {
        has_its_own_log(&mut conn, path, (&file, header), patience)?;
    }
    let size = size_of(path);
    if size > LOOKED_THROUGH_MAX {
        is_readable(&mut conn, path, patience)?;
        tracing::info!(target: TARGET, file = %path.display(), size, "the file was not closed by who used it last; it is too large to be looked through here: `PRAGMA quick_check` does it");
        return Ok(());
    }
    look_through(&mut conn, path, patience)
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn has_log(path: &Path) -> bool {
    std::fs::metadata(log::path_of(path)).is_ok_and(|log| log.len() > 0)
}

/// The schema at least, which whoever writes reads first.
fn is_readable(conn: &mut SqliteConnection, path: &Path, patience: Duration) -> StoreResult<()> {
    let sql = "SELECT name FROM sqlite_schema LIMIT 1";
    let read = patiently(patience, || {
        Stmt::<(Text,)>::new(sql, &[]).load::<(String,)>(conn)
    });
    read.map(drop).map_err(|error| {
        let error = fault::statement("open", &error);
        match error.kind {
            StoreErrorKind::Corrupt => malformed(path, &error.message),
            _ => error,
        }
    })
}

fn look_through(conn: &mut SqliteConnection, path: &Path, patience: Duration) -> StoreResult<()> {
    let looked = patiently(patience, || {
        Stmt::<(Text,)>::new("PRAGMA quick_check(1)", &[]).load::<(String,)>(conn)
    });
    let found = match looked {
        Ok(found) => found.into_iter().map(|(line,)| line).next(),
        Err(error) if fault::is_busy(&error) => {
            return Err(fault::statement("open", &error));
        }
        Err(error) => Some(error.to_string()),
    };
    match found {
        Some(found) if found != "ok" => Err(malformed(path, &found)),
        _ => Ok(()),
    }
}

fn malformed(path: &Path, found: &str) -> StoreError {
    let message = format!(
        "{} is malformed: {found}. It was not closed by who used it last, or was replaced while it was in use; put \
         a whole copy in its place, without the `-wal` and `-shm` files beside it",
        path.display()
    );
    StoreError::new("open", StoreErrorKind::Corrupt, message)
}

/// A log is begun only once the file has a page: without one it was removed or cut short, and what
/// was acknowledged may be in the log.
fn has_file(path: &Path) -> StoreResult<()> {
    let what = match std::fs::metadata(path) {
        Ok(file) if file.len() == 0 => "empty",
        Err(error) if error.kind() == ErrorKind::NotFound => "gone",
        _ => return Ok(()),
    };
    let message = format!(
        "{} is {what}, and its log, {}, is not: it was removed, renamed or cut short while it was in use; put the \
         file back, or a whole copy of it without the `-wal` and `-shm` files; to begin with an empty database, \
         move these two away",
        path.display(),
        log::path_of(path).display()
    );
    Err(StoreError::new("open", StoreErrorKind::Corrupt, message))
}

/// The schema in a log is that of its file, or a later one. A copy that SQLite has made (`VACUUM
/// INTO`) has a later one than its original, and than the log of that, once the file has grown
/// since the log was begun; until then, it mostly has another size. The file was looked at before
/// the log, since others may write.
fn has_its_own_log(
    conn: &mut SqliteConnection,
    path: &Path,
    (file, header): (&File, Header),
    patience: Duration,
) -> StoreResult<()> {
    let logged = patiently(patience, || {
        Stmt::<(BigInt,)>::new("PRAGMA schema_version", &[]).load::<(i64,)>(conn)
    });
    // What cannot be read is told of below.
    let logged = logged.ok().and_then(|rows| rows.first().copied());
    let is_newer = logged.is_some_and(|(logged,)| header.schema > logged);
    let pages = frames::pages_of(&log::path_of(path));
    let has_another_size = pages.is_some() && header.pages.is_some() && pages != header.pages;
    let has_another_size = has_another_size && Header::of(file) == Some(header);
    if !is_newer && !has_another_size {
        return Ok(());
    }
    let message = format!(
        "{} was put in the place of another file, whose log, {}, is still there and would be written into it: move \
         the `-wal` and `-shm` files away",
        path.display(),
        log::path_of(path).display()
    );
    Err(StoreError::new("open", StoreErrorKind::Corrupt, message))
}
