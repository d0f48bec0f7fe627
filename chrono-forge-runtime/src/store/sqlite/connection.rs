//! Connections: how one is opened, and how it waits for its turn.

use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::fault;
use super::location::Synchronous;
use super::statement::{Stmt, sql};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;

/// How long a connection that found the lock taken waits before it looks again. SQLite's own waits
/// grow to 100 ms, which starves one of two busy processes; a tight loop starves the other one.
pub(super) const BUSY_POLL: Duration = Duration::from_millis(1);

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Write(Synchronous),
    Read,
    /// To copy it: reading is all that it does, and yet it writes a file.
    Copy,
}

/// Opens a connection to this file (or to `:memory:`).
pub(super) fn open(url: &str, purpose: Purpose, busy: Duration) -> StoreResult<SqliteConnection> {
    let mut conn =
        SqliteConnection::establish(url).map_err(|error| fault::connection("open", &error))?;
    prepare(&mut conn, url, purpose, busy)?;
    Ok(conn)
}

/// The URL of a connection that writes nothing to this file, not even its log when it is closed.
pub(super) fn read_only(file: &Path) -> Option<String> {
    let mut url = "file:".to_owned();
    for character in file.to_str()?.chars() {
        match character {
            '%' => url.push_str("%25"),
            '?' => url.push_str("%3f"),
            '#' => url.push_str("%23"),
            other => url.push(other),
        }
    }
    Some(url + "?mode=ro")
}

/// Sets what every connection needs: references are not enforced (the store keeps them by
/// construction), the log is written ahead, and a commit is on disk when it returns, unless less
/// was asked for.
///
/// A statement that may fail half-way keeps the pages that it changes in a journal of its own. Beyond
/// 64 KB that would be a temporary file: a system call or two for each page of a batch of retries.
fn prepare(
    conn: &mut SqliteConnection,
    url: &str,
    purpose: Purpose,
    busy: Duration,
) -> StoreResult<()> {
    let failed = |error| fault::statement("open", &error);
    let settings = match purpose {
        Purpose::Write(Synchronous::Full) => {
            "PRAGMA foreign_keys = OFF; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
        }
        Purpose::Write(Synchronous::Normal) => {
            "PRAGMA foreign_keys = OFF; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;"
        }
        Purpose::Read => "PRAGMA query_only = ON;",
        Purpose::Copy => "",
    };
    patiently(busy, || conn.batch_execute(settings)).map_err(failed)?;
    if matches!(purpose, Purpose::Read | Purpose::Copy) || url == ":memory:" {
        return Ok(());
    }
    let mode = patiently(busy, || {
        Stmt::<(Text,)>::new("PRAGMA journal_mode = WAL", &[]).load::<(String,)>(conn)
    });
    match mode.map_err(failed)?.first() {
        Some((mode,)) if mode == "wal" => Ok(()),
        mode => {
            let mode = mode.map_or("none", |(mode,)| mode);
            let message = format!(
                "cannot switch the database to write-ahead logging (journal mode is `{mode}`): \
                 it needs a writable file on a local disk"
            );
            Err(StoreError::new("open", StoreErrorKind::Access, message))
        }
    }
}

/// Repeats what found a lock taken until the patience is used up.
pub(super) fn patiently<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> QueryResult<T>,
) -> QueryResult<T> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(error) if fault::is_busy(&error) && begun.elapsed() < patience => {
                std::thread::sleep(BUSY_POLL);
            }
            done => return done,
        }
    }
}

sql! {
    struct Begin = "BEGIN IMMEDIATE";
}

sql! {
    struct Commit = "COMMIT";
}

/// Runs `write` in a transaction that holds the write lock from its start, so that nothing it reads
/// can change before it commits and a commit never finds itself outrun.
pub(super) fn immediate<T>(
    conn: &mut SqliteConnection,
    patience: Duration,
    write: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    patiently(patience, || Stmt::<(), Begin>::of(&[]).execute(conn))?;
    let transaction = Transaction { conn };
    let value = write(transaction.conn)?;
    Stmt::<(), Commit>::of(&[]).execute(transaction.conn)?;
    std::mem::forget(transaction);
    Ok(value)
}

/// Rolls back when it is dropped, also by a panic.
struct Transaction<'a> {
    conn: &'a mut SqliteConnection,
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // SQLite has rolled back by itself after a full disk or an I/O error; then this fails, rightly.
        let _ = self.conn.batch_execute("ROLLBACK");
    }
}
