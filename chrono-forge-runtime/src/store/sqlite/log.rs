//! The write-ahead log: its content goes into the file when nothing else is to do, and its size has
//! a bound.
//!
//! By itself SQLite moves the log into the file (a checkpoint) once it has 1,000 pages, begins it
//! anew when nobody reads it any more, and never makes it smaller. So a small database lies in the
//! log alone for as long as it is open, and a copy of the file would be empty; and the log keeps
//! the size that it had under the longest reader. Therefore:
//!
//! - a worker that has written nothing since its last heartbeat makes a checkpoint, once;
//! - a worker that leaves makes one, too;
//! - once a second, a log beyond its bound is moved and truncated if nobody reads it. A reader that
//!   is in the way for long is warned of;
//! - where the library is new enough, no commit moves the log: the writing connection does so
//!   between two of them (see [`Pace`]), and only a little. What a reader has kept from being moved
//!   goes through [`Mover`], which is in nobody's way, and is truncated once little is left. An
//!   older library cannot tell how long the log is without moving it, and may lose commits if
//!   another connection moves it just then: there the writing connection moves it all, as it
//!   commits.
//! - a long log is cut off in steps, since that takes the file system a while, too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::mover::{self, LITTLE, Mover, RESTART};
use super::pace::Pace;
use super::writer::Shared;
use crate::telemetry::TARGET;

/// Between two looks at the size of the log.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A reader that is in the way for longer is warned of.
const HELD_MAX: Duration = Duration::from_secs(10);

/// Moves everything, then truncates the log; answers at once that it could not where others read or
/// write.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// A log up to this size has little in it, whatever was moved.
const LITTLE_BYTES: u64 = (LITTLE as u64) << 12;

/// What is cut off a long log in one step: a tenth of a second or two on a disk that is told of
/// what it need not keep.
const STEP_BYTES: u64 = 512 << 20;

/// Between two steps others have their chance.
const STEP_EVERY: Duration = Duration::from_millis(50);

/// If no step has made the log shorter for so long (readers come and go), it is cut off at once.
const STEPS_FAIL_AFTER: Duration = Duration::from_secs(5);

/// From now on a commit on this connection leaves the log as it is.
pub(super) const COMMITS_MOVE_NOTHING: &str = "PRAGMA wal_autocheckpoint = 0";

/// See the module. In memory there is no log.
pub(super) struct Log {
    path: Option<PathBuf>,
    mover: Option<Arc<Mover>>,
    pace: Pace,
    bytes_max: u64,
    /// Something was written since the log was moved into the file.
    is_unmoved: bool,
    /// Something was written since the last heartbeat.
    is_busy: bool,
    /// More than a little is not moved: that is the mover's.
    is_large: bool,
    step_bytes: u64,
    /// How long a long log was when a step last made it shorter, and when that was seen.
    steps: Option<(u64, Instant)>,
    looked: Instant,
    /// Since when a reader keeps a log beyond its bound from being truncated.
    held_since: Option<Instant>,
    is_warned_of: bool,
}

/// Where the log of this file is.
pub(super) fn path_of(file: &Path) -> PathBuf {
    beside(file, "-wal")
}

/// The file that belongs to this one and whose name ends so.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

impl Log {
    /// That of this file.
    pub(super) fn of(file: Option<&Path>, mover: Option<Arc<Mover>>, bytes_max: u64) -> Self {
        Self {
            path: file.map(path_of),
            mover,
            pace: Pace::default(),
            bytes_max,
            is_unmoved: true,
            is_busy: true,
            is_large: false,
            step_bytes: STEP_BYTES,
            steps: None,
            looked: Instant::now(),
            held_since: None,
            is_warned_of: false,
        }
    }

    /// Whether it is time to look at the size of the log. Once little is left, at once: after a
    /// second under load it would be much again.
    pub(super) fn is_due(&self) -> bool {
        let looked = self.looked.elapsed();
        looked >= LOOK_EVERY
            || self.steps.is_some() && looked >= STEP_EVERY
            || self.is_paced() && self.pace.is_due()
            || self.is_large && self.mover().is_some_and(Mover::has_news)
    }

    /// How long the next transaction waits, so that the log is not written as fast as it is moved.
    pub(super) fn pause(&self) -> Duration {
        match self.mover() {
            Some(mover) if self.is_large => mover.pause(),
            _ => Duration::ZERO,
        }
    }

    fn mover(&self) -> Option<&Mover> {
        self.mover.as_deref()
    }

    /// Whether this connection moves a log of usual size between its commits.
    fn is_paced(&self) -> bool {
        self.mover.is_some() && !self.is_large
    }

    /// A transaction was committed.
    pub(super) fn note(&mut self) {
        self.pace.note_commit();
        self.is_unmoved = true;
        self.is_busy = true;
    }

    /// As [`Log::note`], on this connection, to a file that is still the one that was opened.
    pub(super) fn wrote(&mut self, conn: &mut SqliteConnection) {
        self.note();
        if self.is_paced() && self.pace.is_due() {
            self.move_some(conn);
        }
        if self.is_due() {
            self.bound(conn);
        }
    }

    /// Moves what SQLite would move within its commits. What a reader or another process keeps
    /// from that is left for later; whether the log grows too long is looked at once a second.
    fn move_some(&mut self, conn: &mut SqliteConnection) {
        let (Ok(counts), Some(mover)) = (mover::counts(conn), &self.mover) else {
            return;
        };
        if counts.left() > LITTLE {
            self.is_large = true;
            mover.start();
        } else if self.pace.found(&counts) {
            mover.move_some(conn);
        }
    }

    /// A heartbeat was committed, which alone keeps nobody busy.
    pub(super) fn beat(&mut self, conn: &mut SqliteConnection) {
        self.bound(conn);
        let is_busy = std::mem::take(&mut self.is_busy);
        let is_ours = !self.is_large && self.steps.is_none();
        if !is_busy && self.is_unmoved && is_ours {
            self.move_all(conn);
        }
    }

    /// Moves all that can be: nobody waits for this connection any more, but other processes may
    /// write.
    pub(super) fn leave(&mut self, conn: &Shared) {
        if let Some(mover) = self.mover() {
            mover.end();
        }
        let mut conn = conn.lock();
        if self.length() > LITTLE_BYTES {
            // What it leaves, the truncation moves, which keeps other writers out.
            let _ = mover::pass(&mut conn);
        }
        self.move_all(&mut conn);
    }

    /// Moves the log into the file, if nobody reads what would go; tells whether it did.
    fn move_all(&mut self, conn: &mut SqliteConnection) -> bool {
        if self.path.is_none() {
            return true;
        }
        let moved = mover::checkpoint(conn, CHECKPOINT).is_ok_and(|(is_busy, ..)| is_busy == 0);
        self.is_unmoved = !moved;
        moved
    }

    /// Cuts off a log that has little left to move, or a step of a long one.
    fn cut(&mut self, conn: &mut SqliteConnection, bytes: u64, now: Instant) -> Cut {
        let step = match self.steps {
            _ if bytes <= self.step_bytes => None,
            Some((before, since)) if before == bytes => Some((before, since)),
            _ => Some((bytes, now)),
        };
        let is_stuck = step.is_some_and(|(_, since)| now - since >= STEPS_FAIL_AFTER);
        let step = step.filter(|_| !is_stuck);
        if step.is_none() {
            self.end_steps(conn);
            let is_cut = self.move_all(conn);
            return if is_cut { Cut::Whole } else { Cut::Held };
        }
        self.steps = step;
        // The transaction that begins the log anew cuts it off at the limit.
        limit(conn, Some(bytes - self.step_bytes));
        match mover::checkpoint(conn, RESTART) {
            Ok((0, ..)) => Cut::Underway,
            _ => {
                self.end_steps(conn);
                Cut::Held
            }
        }
    }

    fn end_steps(&mut self, conn: &mut SqliteConnection) {
        if self.steps.take().is_some() {
            limit(conn, None);
        }
    }

    fn length(&self) -> u64 {
        let found = self.path.as_ref().map(std::fs::metadata);
        found.and_then(Result::ok).map_or(0, |log| log.len())
    }

    fn bound(&mut self, conn: &mut SqliteConnection) {
        let now = Instant::now();
        self.looked = now;
        let bytes = self.length();
        let is_moving = self.share_out(conn, bytes);
        if bytes <= self.bytes_max || self.is_large {
            self.end_steps(conn);
        }
        let cut = match bytes <= self.bytes_max {
            true => Cut::Whole,
            // Whether a reader is in the way shows only once the mover is at its end.
            false if self.is_large && is_moving => Cut::Underway,
            false if self.is_large => Cut::Held,
            false => self.cut(conn, bytes, now),
        };
        if let Cut::Underway = cut {
            return;
        }
        if let Cut::Whole = cut {
            self.held_since = None;
            if std::mem::take(&mut self.is_warned_of) {
                tracing::info!(target: TARGET, bytes, "the reader that kept the write-ahead log from being truncated is gone; the log is within its bound");
            }
            return;
        }
        let held = now - *self.held_since.get_or_insert(now);
        if held >= HELD_MAX && !std::mem::replace(&mut self.is_warned_of, true) {
            let log = &self.path;
            tracing::warn!(target: TARGET, ?log, bytes, bytes_max = self.bytes_max, ?held, "a transaction that only reads keeps the write-ahead log from being truncated, and the log grows: end that transaction (an open sqlite3 shell, a backup, a report)");
        }
    }

    /// Decides who moves a log of this size, the mover or this connection; whether the mover was at
    /// it.
    fn share_out(&mut self, conn: &mut SqliteConnection, bytes: u64) -> bool {
        let Some(mover) = &self.mover else {
            return false;
        };
        mover.take_news();
        let is_small = bytes <= self.bytes_max.min(LITTLE_BYTES);
        if is_small && !self.is_large {
            return false;
        }
        let is_large = match mover::counts(conn) {
            Ok(counts) => counts.left() > LITTLE,
            Err(_) => self.is_large,
        };
        self.is_large = is_large;
        is_large && mover.start()
    }
}

/// What became of a log beyond its bound.
enum Cut {
    /// It is within its bound.
    Whole,
    Underway,
    /// By a reader.
    Held,
}

/// A log that is begun anew is cut off at so many bytes, or not at all.
fn limit(conn: &mut SqliteConnection, bytes: Option<u64>) {
    let bytes = bytes.map_or(-1, u64::cast_signed);
    // If it fails, no step makes the log shorter, and it is cut off at once.
    let _ = conn.batch_execute(&format!("PRAGMA journal_size_limit = {bytes}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::backend::sqlite::Scratch;
    use crate::store::conformance::told::Told;
    use crate::store::sqlite::Synchronous;
    use crate::store::sqlite::connection::Purpose;
    use crate::store::sqlite::identity::Identity;

    fn log_of(file: &Path, bytes_max: u64) -> Log {
        let write = Purpose::Write(Synchronous::Full);
        let url = file.to_str().unwrap();
        let mover = Mover::new(url, write, Duration::ZERO, Identity::none());
        Log::of(Some(file), Some(mover), bytes_max)
    }

    #[test]
    fn a_long_log_is_cut_off_in_steps() {
        const STEP: u64 = 1 << 20;
        let scratch = Scratch::new();
        let file = scratch.path("a.db");
        let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        let fill = "PRAGMA journal_mode = WAL; CREATE TABLE t (n);
            INSERT INTO t VALUES (zeroblob(5 << 20));";
        conn.batch_execute(fill).unwrap();
        let mut log = log_of(&file, STEP / 2);
        log.step_bytes = STEP;
        let mut lengths = vec![log.length()];
        while lengths.last().is_some_and(|bytes| *bytes > log.bytes_max) {
            log.beat(&mut conn);
            conn.batch_execute("INSERT INTO t VALUES (1)").unwrap();
            lengths.push(log.length());
        }
        let mut steps = lengths.windows(2);
        let are_steps = steps.all(|pair| (1..=STEP).contains(&(pair[0] - pair[1])));
        assert!(are_steps && lengths.len() == 6, "{lengths:?}");
        log.beat(&mut conn);
        assert!(
            log.steps.is_none(),
            "no further look is due before its time"
        );
    }

    #[test]
    fn a_reader_that_is_in_the_way_for_long_is_warned_of_once_and_its_end_is_told() {
        let scratch = Scratch::new();
        let file = scratch.path("a.db");
        let open = || SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        let (mut conn, mut reader) = (open(), open());
        let create = "PRAGMA journal_mode = WAL; CREATE TABLE t (n);";
        conn.batch_execute(create).unwrap();
        reader.batch_execute("BEGIN; SELECT * FROM t;").unwrap();
        conn.batch_execute("INSERT INTO t VALUES (1)").unwrap();
        let mut log = log_of(&file, 0);
        let told = Told::default();
        told.hear(|| {
            log.beat(&mut conn);
            assert_eq!(told.lines().len(), 0, "not for long yet");
            log.held_since = Instant::now().checked_sub(HELD_MAX);
            log.beat(&mut conn);
            log.beat(&mut conn);
            assert_eq!(told.lines().len(), 1);
            reader.batch_execute("COMMIT").unwrap();
            log.beat(&mut conn);
            log.beat(&mut conn);
        });
        let said = told.lines();
        assert!(said[0].contains("keeps the write-ahead log"), "{said:?}");
        assert!(said[1].contains("is gone") && said.len() == 2, "{said:?}");
    }
    #[test]
    fn the_warning_of_a_reader_names_its_age_and_the_size_of_the_log() {
        let scratch = Scratch::new();
        let file = scratch.path("a.db");
        let open = || SqliteConnection::establish(file.to_str().unwrap()).unwrap();
        let (mut conn, mut reader) = (open(), open());
        let create = "PRAGMA journal_mode = WAL; CREATE TABLE t (n);";
        conn.batch_execute(create).unwrap();
        reader.batch_execute("BEGIN; SELECT * FROM t;").unwrap();
        conn.batch_execute("INSERT INTO t VALUES (1)").unwrap();
        let mut log = log_of(&file, 0);
        let told = Told::default();
        told.hear(|| {
            log.beat(&mut conn);
            log.held_since = Instant::now().checked_sub(HELD_MAX * 12);
            log.beat(&mut conn);
        });
        let said = told.lines();
        let bytes = format!("bytes={}", log.length());
        for word in ["WARN", "held=12", "a.db-wal", &*bytes, "bytes_max=0"] {
            assert!(said[0].contains(word), "{word}: {said:?}");
        }
    }
}
