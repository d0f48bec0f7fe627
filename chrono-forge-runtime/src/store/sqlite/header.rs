//! The header of the file as it is on disk, read beside SQLite: what a connection reads of page 1
//! comes from the log, from the file, or from a cache.
//!
//! Closing any descriptor of a file takes away all locks that the process has on it (POSIX), those
//! of SQLite, too, and the last of other processes would then think that nobody has the file open.
//! So one descriptor of each file is kept for as long as anybody can open the file.

use std::fs::{File, Metadata};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::connection::{self, Purpose};
use super::statement::Stmt;
use super::{fault, lock};
use crate::store::StoreResult;

/// What tells a file from another.
pub(super) type Place = (u64, u64);

#[cfg(unix)]
static KEPT: Mutex<Vec<(Place, Arc<File>)>> = Mutex::new(Vec::new());

const SIZE: usize = 100;

/// How each database begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A copy that SQLite makes counts to two.
const COPIED: u32 = 2;

/// What is read of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    /// Counts transactions that wrote page 1, at least those that followed one of another
    /// connection. A new file that SQLite copies to (`VACUUM INTO`, `.backup`) begins to count
    /// anew, and a copy of the file's own bytes stays behind.
    changes: u32,
    /// The size of the database, which only a transaction that writes page 1 changes. None where an
    /// old library has written last.
    pub(super) pages: Option<u32>,
    pub(super) schema: i64,
}

impl Header {
    /// None if the file does not begin as a database.
    pub(super) fn of(file: &File) -> Option<Self> {
        let mut bytes = [0; SIZE];
        read_at(file, &mut bytes, 0).ok()?;
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        let changes = number(&bytes, 24);
        Some(Self {
            changes,
            pages: Some(number(&bytes, 28)).filter(|_| number(&bytes, 92) == changes),
            schema: number(&bytes, 40).into(),
        })
    }

    /// Whether a file that had that header may have this one now. After 4 billion transactions the
    /// count begins anew.
    pub(super) fn follows(&self, before: &Self) -> bool {
        self.changes.wrapping_sub(before.changes).cast_signed() >= 0
    }
}

/// As SQLite writes all of its numbers.
pub(super) fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..at + 4].iter();
    bytes.fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Has a file that is as new as a copy count further, so that it is told from one. Only a
/// connection that has read what another one counted does so; what it writes is what was there.
pub(super) fn count_on(
    path: &Path,
    (url, write): (&str, Purpose),
    patience: Duration,
) -> StoreResult<()> {
    let header = keep(path).ok().and_then(|file| Header::of(&file));
    if header.is_none_or(|header| header.changes > COPIED) {
        return Ok(());
    }
    let mut conn = connection::open(url, write, patience)?;
    let written = connection::immediate(&mut conn, patience, |conn| {
        let versions = Stmt::<(BigInt,)>::new("PRAGMA user_version", &[]).load::<(i64,)>(conn)?;
        let (version,) = versions.first().copied().unwrap_or_default();
        conn.batch_execute(&format!("PRAGMA user_version = {version}"))
    });
    written.map_err(|error| fault::statement("open", &error))
}

/// The file at this path, to read its header from.
#[cfg(unix)]
pub(super) fn keep(path: &Path) -> std::io::Result<Arc<File>> {
    use std::os::unix::fs::MetadataExt;
    let place_at = place(&std::fs::metadata(path)?);
    let mut kept = lock(&KEPT);
    kept.retain(|(_, file)| {
        Arc::strong_count(file) > 1 || file.metadata().map_or(true, |found| found.nlink() > 0)
    });
    if let Some((_, file)) = kept.iter().find(|(place, _)| *place == place_at) {
        return Ok(Arc::clone(file));
    }
    let file = Arc::new(File::open(path)?);
    // By now another one may be at the path.
    kept.push((place(&file.metadata()?), Arc::clone(&file)));
    Ok(file)
}

/// Elsewhere a lock belongs to the descriptor that took it.
#[cfg(not(unix))]
pub(super) fn keep(path: &Path) -> std::io::Result<Arc<File>> {
    File::open(path).map(Arc::new)
}

#[cfg(unix)]
pub(super) fn place(file: &Metadata) -> Place {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
pub(super) fn place(_: &Metadata) -> Place {
    (0, 0)
}

/// Reads as many bytes.
#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    file.read_exact_at(bytes, at)
}

#[cfg(not(unix))]
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::backend::sqlite::Scratch;

    fn header(scratch: &Scratch, name: &str) -> Header {
        Header::of(&keep(&scratch.path(name)).unwrap()).unwrap()
    }

    #[test]
    fn a_file_counts_on_whatever_is_done_to_it_and_a_copy_does_not() {
        let scratch = Scratch::new();
        let mut conn = scratch.raw();
        let ask = |conn: &mut SqliteConnection, sql: &str| conn.batch_execute(sql).unwrap();
        let create = "PRAGMA journal_mode = WAL; CREATE TABLE a (n); INSERT INTO a VALUES (1);";
        ask(&mut conn, create);
        let mut before = header(&scratch, "forge.db");
        for sql in [
            "CREATE INDEX a_n ON a (n)",
            "INSERT INTO a SELECT randomblob(9000) FROM a",
            "BEGIN; INSERT INTO a SELECT randomblob(9000); ROLLBACK",
            "VACUUM",
            "ANALYZE",
            "DELETE FROM a",
            "DROP TABLE a",
        ] {
            // By turns on two connections, each of which has counted for itself.
            ask(&mut scratch.raw(), sql);
            ask(
                &mut conn,
                "CREATE TABLE b (n); DROP TABLE b; PRAGMA wal_checkpoint(PASSIVE)",
            );
            let now = header(&scratch, "forge.db");
            assert!(
                now.follows(&before) && now.schema > before.schema,
                "{sql}: {before:?} {now:?}"
            );
            before = now;
        }
        let copy = format!("VACUUM INTO '{}'", scratch.path("copy.db").display());
        ask(&mut conn, &copy);
        let file = rusqlite::Connection::open(scratch.path("forge.db")).unwrap();
        file.backup("main", scratch.path("backup.db"), None)
            .unwrap();
        for copy in ["copy.db", "backup.db"] {
            let copied = header(&scratch, copy);
            assert!(!copied.follows(&before), "{copied:?}");
            assert!(copied.changes <= COPIED, "{copied:?}");
        }
    }

    #[test]
    fn what_is_no_database_has_no_header() {
        let scratch = Scratch::new();
        for content in ["", "SQLite format 3", &"x".repeat(4_096)] {
            let path = scratch.path("other");
            std::fs::write(&path, content).unwrap();
            assert_eq!(Header::of(&File::open(&path).unwrap()), None, "{content}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn one_descriptor_is_kept_of_each_file_until_nobody_can_open_it() {
        let scratch = Scratch::new();
        let path = scratch.path("kept");
        std::fs::write(&path, "x").unwrap();
        let kept = || {
            let place = place(&std::fs::metadata(&path).ok()?);
            lock(&KEPT)
                .iter()
                .find(|(at, _)| *at == place)
                .map(|(_, file)| Arc::clone(file))
        };
        let first = keep(&path).unwrap();
        assert!(Arc::ptr_eq(&first, &keep(&path).unwrap()));
        drop(first);
        let weak = Arc::downgrade(&kept().unwrap());
        assert!(weak.upgrade().is_some());
        std::fs::remove_file(&path).unwrap();
        let other = scratch.path("other");
        std::fs::write(&other, "x").unwrap();
        let _other = keep(&other).unwrap();
        assert!(weak.upgrade().is_none());
    }
}
