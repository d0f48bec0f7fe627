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
//! What a look sees, by what the file system says of the path (two calls, no descriptor: closing
//! one would drop the locks that SQLite holds in this process):
//!
//! - the file or its log is missing, or is another one (device and inode);
//! - the file is shorter than it was, or longer than the database, which SQLite never makes it.
//!
//! Only when the file's length or its instant of change differ, mostly after a checkpoint, or that
//! instant was just now, is page 1 read as it is in the file. The schema's version there is that of
//! the database, or an older one that the next checkpoint brings up to date; a copy that SQLite has
//! made (`VACUUM INTO`, `.backup`) has another one. In the midst of a checkpoint, which may be
//! another process's, the file is no whole database and cannot be read; only what stays so for
//! long, and not because this process moves a large log into it, is none any more. Nobody sees a
//! copy of the file's own bytes that has its length: either it is all the same, since the log has
//! the rest, or the schema is of the same version.
//!
//! A checkpoint writes page 1 and restores the length, which would hide all of this. So those of an
//! open engine come right after a look, and none is part of a commit (see `pace`; with a library
//! that is too old for that, commits make them).

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::statement::Stmt;
use super::{access, connection, fault, log};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;

/// What passes have written so soon after a look is followed by none.
const LOOK_HOLDS: Duration = Duration::from_millis(5);

/// Who only reads looks at the file this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A file that is no whole database for longer than a checkpoint takes is none any more.
const UNREAD_MAX: Duration = Duration::from_secs(30);

/// A page that is being written may read torn, so what looks wrong is looked at again.
const SECOND_LOOK: Duration = Duration::from_millis(20);

/// File systems note changes to a tick of the kernel's clock, so two within one have one instant.
const TICK_MAX: Duration = Duration::from_millis(10);

/// Only page 1 is read for this. `SELECT .. FROM pragma_schema_version` makes a new connection
/// parse the whole schema first; once per checkpoint, that was 2 % of steps in sequence.
const SCHEMA_VERSION: &str = "PRAGMA schema_version";

/// See the module. In memory there is nothing to look at.
#[derive(Clone)]
pub(super) struct Identity(Option<Arc<Watched>>);

struct Watched {
    path: PathBuf,
    log: PathBuf,
    seen: Mutex<Seen>,
    /// How many checkpoints of this process are under way beside its writes.
    moving: AtomicU32,
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
    /// The schema's version on page 1 of the file.
    version: i64,
    looked: Instant,
    /// The same of a look that compared the file with what SQLite knows.
    compared: Instant,
    /// Since when no look could read page 1.
    unread_since: Option<Instant>,
}

/// What tells a file from another.
type Place = (u64, u64);

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
        let found = std::fs::metadata(path).map_err(failed)?;
        let log = log::path_of(path);
        let seen = Seen {
            file: place(&found),
            log: place_of_log(&log),
            length: found.len(),
            changed: found.modified().ok(),
            is_settled: false,
            version: version_in(path).unwrap_or(0),
            looked: Instant::now(),
            compared: Instant::now(),
            unread_since: None,
        };
        Ok(Self(Some(Arc::new(Watched {
            path: path.to_owned(),
            log,
            seen: Mutex::new(seen),
            moving: AtomicU32::new(0),
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

    /// A checkpoint is under way until this is dropped: for so long the file may be no whole
    /// database, and that says nothing about it.
    pub(super) fn moving(&self) -> Moving {
        if let Some(watched) = &self.0 {
            watched.moving.fetch_add(1, Ordering::AcqRel);
        }
        Moving(self.clone())
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

/// See [`Identity::moving`].
pub(super) struct Moving(Identity);

impl Drop for Moving {
    fn drop(&mut self) {
        if let Some(watched) = &self.0.0 {
            watched.moving.fetch_sub(1, Ordering::AcqRel);
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
            // A directory that cannot be searched, a network that is away: says nothing about the file.
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
        let conn = match conn {
            Some(conn)
                if !seen.is_settled || (found.len(), changed) != (seen.length, seen.changed) =>
            {
                conn
            }
            _ => return None,
        };
        let mut wrong = self.content(conn, &mut seen);
        if wrong.is_some() {
            std::thread::sleep(SECOND_LOOK);
            wrong = self.content(conn, &mut seen);
        }
        wrong
    }

    /// Compares what the file holds with what SQLite knows, which looked first: a file that others write grows only
    /// after the database did.
    fn content(&self, conn: &mut SqliteConnection, seen: &mut Seen) -> Option<String> {
        let found = std::fs::metadata(&self.path).ok()?;
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let size = numbers(conn, sql);
        let ours = numbers(conn, SCHEMA_VERSION);
        let length = found.len();
        // Where SQLite cannot read it either, a file that has shrunk was not made so by it.
        let size = size.map_or(seen.length, i64::cast_unsigned);
        if length < seen.length && size >= seen.length || length > seen.length && length > size {
            return Some("it was cut short or written over".to_owned());
        }
        let ours = ours?;
        let Some(version) = version_in(&self.path) else {
            if self.moving.load(Ordering::Acquire) > 0 {
                seen.unread_since = None;
                return None;
            }
            let since = *seen.unread_since.get_or_insert_with(Instant::now);
            let is_over = since.elapsed() >= UNREAD_MAX;
            return is_over.then(|| "something else was written over it".to_owned());
        };
        seen.unread_since = None;
        if !(seen.version..=ours).contains(&version) {
            return Some("a copy was written over it".to_owned());
        }
        seen.length = length;
        seen.changed = found.modified().ok();
        let age = seen.changed.and_then(|changed| changed.elapsed().ok());
        seen.is_settled = age.is_some_and(|age| age >= TICK_MAX);
        seen.version = version;
        None
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
fn place(file: &Metadata) -> Place {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
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

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
fn place(_: &Metadata) -> Place {
    (0, 0)
}

fn refusal(operation: &'static str, lost: &str) -> StoreError {
    StoreError::new(operation, StoreErrorKind::Replaced, lost)
}

/// The schema's version as page 1 of the file has it, whatever the log says. Through SQLite: it keeps the locks that
/// this process has on the file when such a connection is closed.
pub(super) fn version_in(path: &Path) -> Option<i64> {
    let url = connection::read_only(path, "&immutable=1")?;
    let mut conn = SqliteConnection::establish(&url).ok()?;
    numbers(&mut conn, SCHEMA_VERSION)
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

    /// A file whose page 1 cannot be read, as amid a checkpoint, while SQLite reads it in the log.
    fn unread() -> (Scratch, SqliteConnection, Identity) {
        let scratch = Scratch::new();
        let mut conn = scratch.raw();
        let create =
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE a (n);";
        conn.batch_execute(create).unwrap();
        let identity = Identity::of(&scratch.path("forge.db"), &mut conn).unwrap();
        conn.batch_execute("CREATE TABLE b (n)").unwrap();
        identity.verified("test", &mut conn, Ok(())).unwrap();
        let path = scratch.path("forge.db");
        let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(&[b'x'; 100]).unwrap();
        (scratch, conn, identity)
    }

    fn age(identity: &Identity) {
        let watched = identity.0.as_ref().unwrap();
        let since = Instant::now().checked_sub(UNREAD_MAX);
        watched.seen().unread_since = since;
    }

    #[test]
    fn a_page_that_cannot_be_read_for_long_is_a_loss_unless_the_log_is_being_moved() {
        let (_scratch, mut conn, identity) = unread();
        let mut look = || identity.verified("test", &mut conn, Ok(()));
        look().unwrap();
        let moving = [identity.moving(), identity.moving()];
        age(&identity);
        look().unwrap();
        // One of two movers is at its end; the time begins anew with the last one.
        let [first, second] = moving;
        drop(first);
        age(&identity);
        look().unwrap();
        drop(second);
        look().unwrap();
        age(&identity);
        let error = look().unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Replaced);
        assert!(error.message.contains("something else was written over it"));
        assert!(identity.is_lost());
    }

    #[test]
    fn a_page_that_is_whole_again_was_amid_a_checkpoint() {
        let (_scratch, mut conn, identity) = unread();
        identity.verified("test", &mut conn, Ok(())).unwrap();
        conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")
            .unwrap();
        age(&identity);
        identity.verified("test", &mut conn, Ok(())).unwrap();
        assert!(identity.0.as_ref().unwrap().seen().unread_since.is_none());
    }

    #[test]
    fn a_log_that_is_being_moved_hides_no_other_loss() {
        let (scratch, mut conn, identity) = unread();
        let _moving = identity.moving();
        std::fs::remove_file(scratch.path("forge.db")).unwrap();
        let error = identity.verified("test", &mut conn, Ok(())).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Replaced);
    }
}
