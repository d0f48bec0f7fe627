//! Moving a large log into the file beside the connection that writes.
//!
//! A checkpoint of gigabytes takes seconds. On the writing connection no run is completed meanwhile
//! and no heartbeat written, so a lease may end. A passive one on another connection is in nobody's
//! way: writers go on behind what it moves. What they wrote during a pass is left for the next one,
//! which is shorter, until so little is left that it takes the writing connection a moment.
//!
//! The thread lives as long as it has something to move: there is none beside a log of usual size.
//! SQLite cannot move a part of a log, so a pass that has begun goes on to its end.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::connection::{self, Purpose};
use super::identity::Identity;
use super::statement::Stmt;
use super::{fault, lock, log};
use crate::store::StoreResult;
use crate::telemetry::TARGET;

/// So many frames, of 4 KiB each, a writing connection may move by itself: some 16 MiB, which takes
/// tens of milliseconds.
pub(super) const LITTLE: i64 = 4_096;

/// The first passes are followed at once by shorter ones, unless the log grows as fast as it is
/// moved: from this one on, writers slow down.
const PATIENT_PASSES: u32 = 3;

/// The longest pause of a writer between two transactions.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Moves what no reader needs, in nobody's way.
const PASS: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Moves everything, and tells whether the next transaction can begin the log anew: at once, also
/// where somebody reads or writes.
pub(super) const RESTART: &str = "PRAGMA wal_checkpoint(RESTART)";

/// Moves nothing, and tells how much there is.
const COUNT: &str = "PRAGMA wal_checkpoint(NOOP)";

/// Whoever reads for longer than five milliseconds is not waited for.
const AWAITED_MAX: u32 = 5;
const AWAITED_EVERY: Duration = Duration::from_millis(1);

/// Moves the log of one file, for all of its writers.
pub(super) struct Mover {
    job: Job,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Job {
    url: String,
    purpose: Purpose,
    patience: Duration,
    identity: Identity,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    /// Since the thread has begun.
    passes: AtomicU32,
    /// Little is left, and no writer has heard of it yet.
    is_little_left: AtomicBool,
    /// No further pass begins.
    is_over: AtomicBool,
    /// A failure was told of, and nothing was moved since.
    is_told: AtomicBool,
}

/// Why a pass is not followed by another one.
enum Rest {
    LittleLeft,
    /// A reader, or another process that moves it.
    Hindered,
    Over,
}

impl Mover {
    pub(super) fn new(
        url: &str,
        purpose: Purpose,
        patience: Duration,
        identity: Identity,
    ) -> Arc<Self> {
        let job = Job {
            url: url.to_owned(),
            purpose,
            patience,
            identity,
            progress: Arc::default(),
        };
        Arc::new(Self {
            job,
            thread: Mutex::default(),
        })
    }

    /// Begins to move the log unless that is under way; whether it was.
    pub(super) fn start(&self) -> bool {
        let mut thread = lock(&self.thread);
        if thread.as_ref().is_some_and(|it| !it.is_finished()) {
            return true;
        }
        let job = self.job.clone();
        let builder = std::thread::Builder::new().name("chrono-forge-log".to_owned());
        match builder.spawn(move || job.run()) {
            Ok(started) => *thread = Some(started),
            Err(error) => self.job.tell(&error),
        }
        false
    }

    /// Whether little is left since the last time that a writer asked.
    pub(super) fn has_news(&self) -> bool {
        self.job.progress.is_little_left.load(Ordering::Acquire)
    }

    pub(super) fn take_news(&self) {
        let news = &self.job.progress.is_little_left;
        news.store(false, Ordering::Release);
    }

    /// How long a writer waits before its next transaction, so that a log is not written for good
    /// as fast as it is moved.
    pub(super) fn pause(&self) -> Duration {
        let passes = self.job.progress.passes.load(Ordering::Relaxed);
        pause_after(passes)
    }

    /// Moves a log of usual size on the connection that writes, and has the next transaction begin
    /// it anew.
    ///
    /// SQLite syncs the log before it writes page 1, and what is written over the file in between
    /// would not be noticed: on a busy disk that is most of the time that a move takes. So the log
    /// is synced first, and then the file looked at.
    pub(super) fn move_some(&self, conn: &mut SqliteConnection) {
        let log = log::path_of(Path::new(&self.job.url));
        let is_synced = File::open(log).and_then(|log| log.sync_data()).is_ok();
        let looked = self.job.identity.verified("checkpoint", conn, Ok(()));
        if is_synced && looked.is_ok() && pass(conn).is_ok() {
            await_readers(conn);
        }
    }

    /// Waits for what is under way; then there is no thread and no connection any more.
    pub(super) fn end(&self) {
        let mut thread = lock(&self.thread);
        if let Some(thread) = thread.take() {
            self.job.progress.is_over.store(true, Ordering::Release);
            // A panic of it was told by the hook, and leaves nothing half done.
            let _ = thread.join();
            self.job.progress.is_over.store(false, Ordering::Release);
        }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.end();
    }
}

fn pause_after(passes: u32) -> Duration {
    match passes.checked_sub(PATIENT_PASSES) {
        Some(more) => PAUSE_MAX.min(Duration::from_millis(1 << more.min(16))),
        None => Duration::ZERO,
    }
}

impl Job {
    fn run(&self) {
        let rest = self.work();
        self.progress.passes.store(0, Ordering::Relaxed);
        match rest {
            Ok(Rest::LittleLeft) => self.progress.is_little_left.store(true, Ordering::Release),
            Ok(Rest::Hindered | Rest::Over) => {}
            Err(error) => self.tell(&error),
        }
    }

    fn work(&self) -> StoreResult<Rest> {
        // A file that was replaced is not opened, nor is the log moved into it.
        self.identity.look("checkpoint")?;
        let opened = connection::open(&self.url, self.purpose, self.patience);
        let mut conn = opened.map_err(|error| self.identity.explained(error))?;
        let rest = loop {
            match self.pass(&mut conn) {
                Ok(None) => {}
                Ok(Some(rest)) => break Ok(rest),
                Err(error) => break Err(error),
            }
        };
        if self.identity.is_lost() {
            // As the store's own connection: its close might write to what is now at this path.
            std::mem::forget(conn);
        }
        rest
    }

    /// Moves what there is; `None` if another pass should follow.
    fn pass(&self, conn: &mut SqliteConnection) -> StoreResult<Option<Rest>> {
        let failed = |error| fault::statement("checkpoint", &error);
        let found = counts(conn);
        let before = self.identity.verified("checkpoint", conn, found)?;
        let is_taken = checkpoint(conn, PASS).map_err(failed)?.0 != 0;
        let mut after = counts(conn).map_err(failed)?;
        if after.moved - before.moved > LITTLE {
            sync(Path::new(&self.url));
            after = counts(conn).map_err(failed)?;
        }
        self.progress.passes.fetch_add(1, Ordering::Relaxed);
        if before.moved < after.moved {
            self.progress.is_told.store(false, Ordering::Relaxed);
        }
        Ok(if after.left() <= LITTLE {
            Some(Rest::LittleLeft)
        } else if is_taken || before.moved == after.moved {
            Some(Rest::Hindered)
        } else if self.progress.is_over.load(Ordering::Acquire) {
            Some(Rest::Over)
        } else {
            None
        })
    }

    /// Once for as long as it fails.
    fn tell(&self, error: &dyn std::fmt::Display) {
        if !self.identity.is_lost() && !self.progress.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(target: TARGET, %error, "a large write-ahead log cannot be moved into the file; it grows until that succeeds, which is tried once a second");
        }
    }
}

/// Has what a pass wrote on disk. Where writers go on, SQLite leaves that to the checkpoint that is
/// complete, which is the writing connection's, and gigabytes would take it seconds. By way of the
/// directory, since closing another descriptor of the file would drop the locks of this process.
#[cfg(target_os = "linux")]
fn sync(file: &Path) {
    let directory = file.parent().map(std::fs::File::open);
    if let Some(Ok(directory)) = directory {
        // Only the checkpoint that is complete relies on it, and syncs the file by itself.
        let _ = rustix::fs::syncfs(&directory);
    }
}

/// Elsewhere it is left to the system, and in the end to the writing connection.
#[cfg(not(target_os = "linux"))]
fn sync(_file: &Path) {}

/// How long the log is, and what of it is in the file.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) frames: i64,
    pub(super) moved: i64,
}

impl Counts {
    /// How many frames are not in the file.
    pub(super) fn left(&self) -> i64 {
        self.frames - self.moved
    }
}

pub(super) fn counts(conn: &mut SqliteConnection) -> QueryResult<Counts> {
    let (_, frames, moved) = checkpoint(conn, COUNT)?;
    Ok(Counts { frames, moved })
}

/// Moves what no reader needs.
pub(super) fn pass(conn: &mut SqliteConnection) -> QueryResult<()> {
    checkpoint(conn, PASS).map(drop)
}

/// Of a log that was moved whole: waits for those who read it, so that the next transaction begins
/// it anew. Who comes meanwhile reads the file alone and is not in the way, but without the wait
/// that transaction would often meet somebody, and the log go on to grow.
pub(super) fn await_readers(conn: &mut SqliteConnection) {
    for _ in 0..AWAITED_MAX {
        // What others have committed meanwhile would be moved without a look at the file.
        if !counts(conn).is_ok_and(|counts| counts.left() == 0) {
            return;
        }
        match checkpoint(conn, RESTART) {
            Ok((0, ..)) => return,
            _ => std::thread::sleep(AWAITED_EVERY),
        }
    }
}

/// Whether somebody was in the way, the frames in the log, and those of them that are in the file.
pub(super) fn checkpoint(
    conn: &mut SqliteConnection,
    sql: &'static str,
) -> QueryResult<(i64, i64, i64)> {
    let rows = Stmt::<(BigInt, BigInt, BigInt)>::new(sql, &[]).load::<(i64, i64, i64)>(conn)?;
    rows.first().copied().ok_or(diesel::result::Error::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_pauses_only_if_the_log_grows_as_fast_as_it_is_moved() {
        let pauses = [0, PATIENT_PASSES - 1, PATIENT_PASSES, 5, 99].map(pause_after);
        let millis = pauses.map(|pause| pause.as_millis());
        assert_eq!(millis, [0, 0, 1, 4, 100]);
    }
}
