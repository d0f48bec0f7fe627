//! Which file this store serves, and whether the path still names it.
//!
//! SQLite goes on with a file that was renamed over, removed, or written over by a copy, and says
//! nothing: what it commits is in a file that nobody will find again, or in the midst of another
//! one. So each call is followed by a look at the file and its log, before it is acknowledged, and
//! once these are others nothing is any more. For what passes write, of which nobody outside hears
//! at once, a look holds for [`LOOK_HOLDS`]: what they commit within it is in danger as much as
//! what they did just before the file was replaced, and with one look each a step in sequence costs
//! 6 % more.
//!
//! What a look sees, by what the file system says of the path:
//!
//! - the file or its log is missing, or is another one (device and inode);
//! - the file is shorter than it was, or longer than the database, which SQLite never makes it.
//!
//! Only when the file's length or its instant of change differ, mostly after a checkpoint, or that
//! instant was just now, is its header read (see [`Header`]). It counts on with each transaction
//! that writes page 1; the schema's version there is that of the database, or an older one that the
//! next checkpoint brings up to date. What SQLite says of the database is not enough: while page 1
//! is not in the log, it says what the file says, whatever file that is.
//!
//! What nobody sees: a copy of the file's own bytes with its length and its page 1; and, while page
//! 1 is not in the log, a database that has counted further, as one that was in use longer.
//!
//! A checkpoint writes page 1 and restores the length, which would hide all of this. So those of an
//! open engine come right after a look, and none is part of a commit (see `pace`; with a library
//! that is too old for that, commits make them).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::header::{self, Header, Place, place};
use super::statement::Stmt;
use super::{access, fault, log};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;

/// What passes have written so soon after a look is followed by none.
const LOOK_HOLDS: Duration = Duration::from_millis(5);

/// Who only reads looks at the file this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What SQLite knows and the file may be read amid a checkpoint, so what differs is looked at
/// again.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// File systems note changes to a tick of the kernel's clock, so two within one have one instant.
const TICK_MAX: Duration = Duration::from_millis(10);

/// At most page 1 is read for this. `SELECT .. FROM pragma_schema_version` makes a new connection
/// parse the whole schema first; once per checkpoint, that was 2 % of steps in sequence.
const SCHEMA_VERSION: &str = "PRAGMA schema_version";

/// See the module. In memory there is nothing to look at.
#[derive(Clone)]
pub(super) struct Identity(Option<Arc<Watched>>);

struct Watched {
    path: PathBuf,
    log: PathBuf,
    file: Arc<File>,
    seen: Mutex<Seen>,
    /// Set once and for good.
    lost: OnceLock<String>,
}

struct Seen {
    file: Place,
    log: Option<Place>,
    length: u64,
    changed: Option<SystemTime>,
    /// It was seen so long after it had changed that another change would have another instant.
    is_settled: bool,
    header: Header,
    looked: Instant,
    /// The same of a look that compared the file with what SQLite knows.
    compared: Instant,
}

impl Identity {
    /// Nothing is looked at.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// That of the file which this connection has opened.
    pub(super) fn of(path: &Path, conn: &mut SqliteConnection) -> StoreResult<Self> {
        let failed = |error: std::io::Error| {
            let message = format!("{}: {error}", path.display());
            StoreError::new("open", StoreErrorKind::Access, message)
        };
        // Page 1 of a file that was never checkpointed says nothing yet.
        let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
        let _ =
            Stmt::<(BigInt, BigInt, BigInt)>::new(checkpoint, &[]).load::<(i64, i64, i64)>(conn);
        let file = header::keep(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        let Some(header) = Header::of(&file) else {
            return Err(failed(std::io::ErrorKind::InvalidData.into()));
        };
        let log = log::path_of(path);
        let seen = Seen {
            file: place(&found),
            log: place_of_log(&log),
            length: found.len(),
            changed: found.modified().ok(),
            is_settled: false,
            header,
            looked: Instant::now(),
            compared: Instant::now(),
        };
        Ok(Self(Some(Arc::new(Watched {
            path: path.to_owned(),
            log,
            file,
            seen: Mutex::new(seen),
            lost: OnceLock::new(),
        }))))
    }

    /// Whether the file is known to be another one.
    pub(super) fn is_lost(&self) -> bool {
        let lost = self.0.as_ref().and_then(|watched| watched.lost.get());
        lost.is_some()
    }

    /// After the transaction of a call and before it is acknowledged: what became of it. Also of
    /// what failed: a file that was written over is malformed, and this says why.
    pub(super) fn verified<T>(
        &self,
        operation: &'static str,
        conn: &mut SqliteConnection,
        done: QueryResult<T>,
    ) -> StoreResult<T> {
        if let Some(watched) = &self.0 {
            watched
                .verify(Some(conn))
                .map_err(|lost| refusal(operation, lost))?;
        }
        done.map_err(|error| self.explained(fault::statement(operation, &error)))
    }

    /// A right that was lost, a disk that is mounted read-only: told with the path.
    pub(super) fn explained(&self, error: StoreError) -> StoreError {
        match &self.0 {
            Some(watched) if error.kind == StoreErrorKind::Access => {
                access::explained(&watched.path, error)
            }
            _ => error,
        }
    }

    /// As [`Identity::verified`], after a transaction of passes.
    pub(super) fn verified_now_and_then<T>(
        &self,
        operation: &'static str,
        conn: &mut SqliteConnection,
        done: QueryResult<T>,
    ) -> StoreResult<T> {
        match &self.0 {
            Some(watched) if done.is_ok() && !watched.is_due() => {
                done.map_err(|error| fault::statement(operation, &error))
            }
            _ => self.verified(operation, conn, done),
        }
    }

    /// Before a connection is opened, which might create the file anew.
    pub(super) fn look(&self, operation: &'static str) -> StoreResult<()> {
        match &self.0 {
            Some(watched) => watched
                .verify(None)
                .map_err(|lost| refusal(operation, lost)),
            None => Ok(()),
        }
    }

    /// Before a read: what others have found, and a look now and then.
    pub(super) fn glance(&self, operation: &'static str) -> StoreResult<()> {
        let Some(watched) = &self.0 else {
            return Ok(());
        };
        if let Some(lost) = watched.lost.get() {
            return Err(refusal(operation, lost));
        }
        let is_due = watched.seen().looked.elapsed() >= LOOK_EVERY;
        match is_due {
            true => self.look(operation),
            false => Ok(()),
        }
    }
}

impl Watched {
    /// Whether the last look no longer holds.
    fn is_due(&self) -> bool {
        self.lost.get().is_some() || self.seen().compared.elapsed() >= LOOK_HOLDS
    }

    /// With a connection, what SQLite knows of the file is compared with it, too.
    fn verify(&self, conn: Option<&mut SqliteConnection>) -> Result<(), &str> {
        if self.lost.get().is_none()
            && let Some(what) = self.difference(conn)
        {
            let path = self.path.display();
            let _ = self.lost.set(format!(
                "{path} is no longer the file that this engine opened: {what}. What was acknowledged since then is \
                 in the old file, if anywhere, so nothing is acknowledged any more: stop this process, put the file \
                 in its place that is to be served, and open it again"
            ));
        }
        match self.lost.get() {
            Some(lost) => Err(lost),
            None => Ok(()),
        }
    }

    fn difference(&self, conn: Option<&mut SqliteConnection>) -> Option<String> {
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Some("it was removed or renamed".to_owned());
            }
            // A directory that cannot be searched, a network that is away: says nothing about the
            // file.
            Err(_) => return None,
        };
        let mut seen = self.seen();
        seen.looked = Instant::now();
        if place(&found) != seen.file {
            return Some("another one has taken its place".to_owned());
        }
        let log = place_of_log(&self.log);
        if seen.log.is_some() && log != seen.log {
            let log = self.log.display();
            return Some(format!("its log, {log}, was removed or replaced"));
        }
        seen.log = log;
        let changed = found.modified().ok();
        if conn.is_some() {
            seen.compared = seen.looked;
        }
        if seen.is_settled && (found.len(), changed) == (seen.length, seen.changed) {
            return None;
        }
        if let Err(wrong) = self.header(&seen) {
            return Some(wrong.to_owned());
        }
        let conn = conn?;
        self.content(conn, &mut seen)?;
        std::thread::sleep(SECOND_LOOK);
        self.content(conn, &mut seen).map(str::to_owned)
    }

    /// What the file holds, if that follows what it held.
    fn header(&self, seen: &Seen) -> Result<Header, &'static str> {
        let Some(header) = Header::of(&self.file) else {
            return Err("something else was written over it, or it was cut short");
        };
        match header.follows(&seen.header) && header.schema >= seen.header.schema {
            true => Ok(header),
            false => Err("a copy was written over it"),
        }
    }

    /// Compares what the file holds with what SQLite knows, which looks after it: others may bring
    /// both forward meanwhile.
    fn content(&self, conn: &mut SqliteConnection, seen: &mut Seen) -> Option<&'static str> {
        let found = std::fs::metadata(&self.path).ok()?;
        let length = found.len();
        let header = match self.header(seen) {
            Ok(header) => header,
            Err(wrong) => return Some(wrong),
        };
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let size = numbers(conn, sql);
        let ours = numbers(conn, SCHEMA_VERSION);
        // Where SQLite cannot read it either, a file that has shrunk was not made so by it.
        let size = size.map_or(seen.length, i64::cast_unsigned);
        if length < seen.length && size >= seen.length || length > seen.length && length > size {
            return Some("it was cut short or written over");
        }
        if header.schema > ours? {
            return Some("a copy was written over it");
        }
        seen.length = length;
        seen.changed = found.modified().ok();
        let age = seen.changed.and_then(|changed| changed.elapsed().ok());
        seen.is_settled = age.is_some_and(|age| age >= TICK_MAX);
        seen.header = header;
        None
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the log is, without asking when it was changed: a file system that is asked that notes the next write to the
/// microsecond, and each commit then flushes its inode, too (a step in sequence took 30 % longer).
#[cfg(target_os = "linux")]
fn place_of_log(path: &Path) -> Option<Place> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::INO).ok()?;
    let device = u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor);
    Some((device, found.stx_ino))
}

#[cfg(not(target_os = "linux"))]
fn place_of_log(path: &Path) -> Option<Place> {
    std::fs::metadata(path).ok().as_ref().map(place)
}

fn refusal(operation: &'static str, lost: &str) -> StoreError {
    StoreError::new(operation, StoreErrorKind::Replaced, lost)
}

fn numbers(conn: &mut SqliteConnection, sql: &'static str) -> Option<i64> {
    let rows: Vec<(i64,)> = Stmt::<(BigInt,)>::new(sql, &[]).load(conn).ok()?;
    rows.first().map(|(number,)| *number)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use diesel::connection::SimpleConnection;

    use super::*;
    use crate::store::conformance::backend::sqlite::Scratch;

    /// A file of which SQLite reads page 1 in the log.
    fn logged() -> (Scratch, SqliteConnection, Identity) {
        let scratch = Scratch::new();
        let mut conn = scratch.raw();
        let create =
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE a (n);";
        conn.batch_execute(create).unwrap();
        let identity = Identity::of(&scratch.path("forge.db"), &mut conn).unwrap();
        conn.batch_execute("CREATE TABLE b (n)").unwrap();
        identity.verified("test", &mut conn, Ok(())).unwrap();
        (scratch, conn, identity)
    }

    #[test]
    fn a_file_that_begins_with_something_else_is_lost_at_once() {
        let (scratch, mut conn, identity) = logged();
        let path = scratch.path("forge.db");
        let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(&[b'x'; 100]).unwrap();
        // Also for who only reads, and has no connection to compare it with.
        let error = identity.look("test").unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Replaced);
        assert!(error.message.contains("something else was written over it"));
        let error = identity.verified("test", &mut conn, Ok(())).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Replaced);
    }

    /// Then SQLite takes the copy's page 1 for the database's.
    #[test]
    fn a_copy_that_was_written_over_the_file_is_told_where_page_1_is_not_in_the_log() {
        let (scratch, mut conn, identity) = logged();
        let insert = "INSERT INTO a VALUES (1)";
        let (path, copy) = (scratch.path("forge.db"), scratch.path("copy.db"));
        let made = format!("{insert}; VACUUM INTO '{}'; {insert}", copy.display());
        conn.batch_execute(&made).unwrap();
        let moved = format!("PRAGMA wal_checkpoint(TRUNCATE); {insert}");
        conn.batch_execute(&moved).unwrap();
        identity.verified("test", &mut conn, Ok(())).unwrap();
        std::fs::copy(&copy, &path).unwrap();
        scratch.raw().batch_execute(insert).unwrap();
        let error = identity.verified("test", &mut conn, Ok(())).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Replaced);
        assert!(error.message.contains("a copy was written over it"));
        assert!(identity.is_lost());
    }

    #[test]
    fn a_schema_that_changes_and_a_database_that_shrinks_are_no_loss() {
        let (scratch, mut conn, identity) = logged();
        let moved = "PRAGMA wal_checkpoint(TRUNCATE)";
        for sql in [
            "CREATE TABLE c (n)",
            "INSERT INTO c VALUES (randomblob(99999))",
            "DELETE FROM c",
            "VACUUM",
            "DROP TABLE c",
        ] {
            for sql in [sql, moved] {
                scratch.raw().batch_execute(sql).unwrap();
                identity.verified("test", &mut conn, Ok(())).unwrap();
                identity.look("test").unwrap();
            }
        }
    }
}
