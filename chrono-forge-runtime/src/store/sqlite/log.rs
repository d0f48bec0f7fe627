//! The write-ahead log: its content goes into the file when nothing else is to do, and its size has a bound.
//!
//! By itself SQLite moves the log into the file once it has 1,000 pages, begins it anew when nobody reads it any more,
//! and never makes it smaller. So a small database lies in the log alone for as long as it is open, and a copy of the file
//! would be empty; and the log keeps the size that it had under the longest reader. Therefore:
//!
//! - a worker that has written nothing since its last heartbeat moves the log into the file, once;
//! - who leaves does so, too;
//! - a log beyond its bound is moved and cut off as soon as nobody reads it, looked for every second. Who reads it for
//!   long is told of.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::statement::Stmt;
use crate::telemetry::TARGET;

/// Between two looks at the size of the log.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A reader that holds the log back for longer is told of.
const HELD_MAX: Duration = Duration::from_secs(10);

/// Moves everything, then cuts the log off; answers at once where others read or write.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// See the module. In memory there is no log.
pub(super) struct Log {
    path: Option<PathBuf>,
    bytes_max: u64,
    /// Something was written since the log was moved into the file.
    is_unmoved: bool,
    /// Something was written since the last heartbeat.
    is_busy: bool,
    looked: Instant,
    /// Since when somebody keeps a log beyond its bound from being cut off.
    held_since: Option<Instant>,
    is_told: bool,
}

impl Log {
    /// That of this file.
    pub(super) fn of(file: Option<&Path>, bytes_max: u64) -> Self {
        let path = file.map(|file| {
            let mut path = file.as_os_str().to_owned();
            path.push("-wal");
            PathBuf::from(path)
        });
        Self {
            path,
            bytes_max,
            is_unmoved: true,
            is_busy: true,
            looked: Instant::now(),
            held_since: None,
            is_told: false,
        }
    }

    /// A transaction was committed.
    pub(super) fn wrote(&mut self, conn: &mut SqliteConnection) {
        self.is_unmoved = true;
        self.is_busy = true;
        if self.looked.elapsed() >= LOOK_EVERY {
            self.bound(conn);
        }
    }

    /// A heartbeat was committed, which alone keeps nobody busy.
    pub(super) fn beat(&mut self, conn: &mut SqliteConnection) {
        self.bound(conn);
        let is_busy = std::mem::take(&mut self.is_busy);
        if !is_busy && self.is_unmoved {
            self.move_all(conn);
        }
    }

    /// Moves the log into the file, if nobody reads what would go; tells whether it did.
    pub(super) fn move_all(&mut self, conn: &mut SqliteConnection) -> bool {
        if self.path.is_none() {
            return true;
        }
        let moved = Stmt::<(BigInt, BigInt, BigInt)>::new(CHECKPOINT, &[])
            .load::<(i64, i64, i64)>(conn)
            .is_ok_and(|rows| rows.first().is_some_and(|(is_busy, ..)| *is_busy == 0));
        self.is_unmoved = !moved;
        moved
    }

    fn bound(&mut self, conn: &mut SqliteConnection) {
        let now = Instant::now();
        self.looked = now;
        let found = self.path.as_deref().map(std::fs::metadata);
        let bytes = found.and_then(Result::ok);
        let bytes = bytes.map_or(0, |log| log.len());
        if bytes <= self.bytes_max || self.move_all(conn) {
            self.held_since = None;
            if std::mem::take(&mut self.is_told) {
                tracing::info!(target: TARGET, bytes, "nobody holds the write-ahead log any more; it is within its bound");
            }
            return;
        }
        let held = now - *self.held_since.get_or_insert(now);
        if held >= HELD_MAX && !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(target: TARGET, log = ?self.path, bytes, bytes_max = self.bytes_max, ?held, "somebody has read the database in one transaction for so long that its write-ahead log cannot be cut off, and grows: end that transaction (an open sqlite3 shell, a backup, a report)");
        }
    }
}
