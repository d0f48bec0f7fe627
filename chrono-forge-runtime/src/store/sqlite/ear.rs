//! Hearing other processes: what they commit changes the version that SQLite gives to the content
//! of the file.
//!
//! Nobody has to tell: the version is in the memory that all processes share beside the log. It is
//! the writing connection that looks, since a version counts the commits of every connection but
//! its own: what this process writes is no news to it. Before a commit somebody writes to the log,
//! so the ear sleeps until then, and looks for a while after it: the version changes only once the
//! log is synced.

#[cfg(target_os = "linux")]
mod inotify;
#[cfg(not(target_os = "linux"))]
mod timer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::pool::Readers;
use super::statement::{Stmt, sql};
use super::writer::Shared;
use super::{fault, runs};
use crate::error::{StoreError, StoreErrorKind};
use crate::record::RunId;
use crate::store::{Call, Listener, StoreResult};
#[cfg(target_os = "linux")]
pub(super) use inotify::End;
#[cfg(target_os = "linux")]
use inotify::Writes;
#[cfg(not(target_os = "linux"))]
pub(super) use timer::End;
#[cfg(not(target_os = "linux"))]
use timer::Writes;

/// Between two looks while somebody writes on and on.
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// While somebody writes on and on, only one look in so many asks whether anybody has written, and
/// has the kernel tell of the next write: that costs as much as the look itself.
const LOOKS_UNASKED: u32 = 3;

/// Between two looks right after the first write since long: its commit is a sync away.
const LOOK_SOON: Duration = Duration::from_millis(5);

/// After the last write to the log the pauses between looks grow to this; then the ear sleeps.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// So much faster the pauses grow after a write of this process alone, which is no news to it: a
/// heartbeat, every 2.5 s. Some looks are left for whoever began to write just after it.
const OWN_PACE: u32 = 8;

/// That something may be due is told so far apart, however often others write; the first time after
/// a while at once. Each time costs a claim.
const DUE_EVERY: Duration = Duration::from_millis(100);

/// Of its time an ear spends at most one part in so many on finding out which runs have settled.
const COST_MAX: u32 = 20;

/// An ear that is told of its end may sleep for long.
const WAIT_MAX: Duration = Duration::from_secs(1);

pub(super) struct Ear {
    writing: Shared,
    readers: Arc<Readers>,
    writes: Writes,
    version: i64,
    /// When the log was found written last, and when first after a while.
    written: Instant,
    begun: Instant,
    /// The next look; `None` while nobody writes.
    next_look: Option<Instant>,
    /// How much faster than the time since then the pauses grow.
    pace: u32,
    /// What this process has committed, as far as it is known here.
    commits: u64,
    /// How many of the next looks take it that somebody has written.
    unasked: u32,
    /// Writes are not listened to before.
    deaf_until: Instant,
    due: News,
    settled: News,
}

/// What others have committed, told from one point of view.
struct News {
    is_untold: bool,
    /// Not told before.
    not_before: Instant,
}

impl News {
    fn none(now: Instant) -> Self {
        Self {
            is_untold: false,
            not_before: now,
        }
    }

    /// When it is to be told.
    fn at(&self) -> Option<Instant> {
        self.is_untold.then_some(self.not_before)
    }

    /// Whether it is to be told now, which it then is.
    fn take(&mut self, now: Instant) -> bool {
        let is_told = self.at().is_some_and(|at| at <= now);
        self.is_untold &= !is_told;
        is_told
    }
}

impl Ear {
    /// Hears what others write to this log, until its end.
    pub(super) fn open(
        writing: Shared,
        readers: Arc<Readers>,
        log: &Path,
    ) -> StoreResult<(Self, End)> {
        let opened = Writes::to(log);
        let (writes, end) =
            opened.map_err(|error| StoreError::new("listen", StoreErrorKind::Transient, error))?;
        // After the watch has begun: between the two nothing is missed.
        let version = version(&mut writing.lock())?;
        let now = Instant::now();
        let ear = Self {
            writing,
            readers,
            writes,
            version,
            written: now,
            begun: now,
            next_look: Some(now),
            pace: 1,
            commits: 0,
            unasked: 0,
            deaf_until: now,
            due: News::none(now),
            settled: News::none(now),
        };
        Ok((ear, end))
    }

    /// Sleeps until there is something to do or somebody writes, at most until `until`; whether it
    /// was told of its end.
    fn sleep(&self, until: Instant) -> bool {
        let next = [self.next_look, self.due.at(), self.settled.at()];
        let next = next.into_iter().flatten().fold(until, Instant::min);
        let now = Instant::now();
        match now < self.deaf_until {
            true => {
                let span = next.min(self.deaf_until).saturating_duration_since(now);
                self.writes.sleep(span)
            }
            false => self
                .writes
                .sleep_until_next(next.saturating_duration_since(now)),
        }
    }

    /// Looks, if it is time or somebody has written, and decides when to look again.
    fn attend(&mut self) -> StoreResult<()> {
        let now = Instant::now();
        if now < self.deaf_until {
            return Ok(());
        }
        if self.unasked > 0 {
            self.unasked -= 1;
            self.written = now;
        } else if self.writes.were_any() {
            if now - self.written >= DUE_EVERY {
                self.begun = now;
            }
            self.written = now;
            let is_own = self.writing.has_written_since(&mut self.commits);
            self.pace = if is_own { OWN_PACE } else { 1 };
            let is_alone = is_own && now - self.begun < LOOK_EVERY;
            self.unasked = if is_alone { 0 } else { LOOKS_UNASKED };
        } else if self.next_look.is_none_or(|next| now < next) {
            return Ok(());
        }
        let is_new = now - self.begun < LOOK_EVERY;
        let least = if is_new { LOOK_SOON } else { LOOK_EVERY };
        self.deaf_until = now + least;
        let pause = least.max((now - self.written) * self.pace);
        self.next_look = (pause <= PAUSE_MAX).then(|| now + pause);
        self.look()
    }

    /// A writer that is at work is not waited for: it may wait for another process itself, and
    /// whatever it misses is still new at the next look.
    fn look(&mut self) -> StoreResult<()> {
        let Some(mut conn) = self.writing.try_lock() else {
            // The last look before a sleep must not be lost.
            self.next_look = Some(Instant::now() + LOOK_EVERY);
            return Ok(());
        };
        let found = version(&mut conn)?;
        drop(conn);
        if found != self.version {
            self.version = found;
            self.due.is_untold = true;
            self.settled.is_untold = true;
        }
        Ok(())
    }

    /// A commit does not say what it is about: something may be due, and whoever waits for a run is
    /// told if it has settled.
    fn tell(&mut self, awaited: &dyn Fn() -> Vec<RunId>) -> StoreResult<Vec<Call>> {
        let now = Instant::now();
        let mut calls = Vec::new();
        if self.due.take(now) {
            self.due.not_before = now + DUE_EVERY;
            calls.push(Call::Due);
        }
        if self.settled.take(now) {
            let awaited = awaited();
            let settled = self.settled_of(&awaited).inspect_err(|_| {
                // It is told with what comes next.
                self.due.is_untold = true;
                self.settled.is_untold = true;
            })?;
            calls.extend(settled.into_iter().map(Call::Settled));
            self.settled.not_before = now + now.elapsed().saturating_mul(COST_MAX);
        }
        Ok(calls)
    }

    fn settled_of(&self, awaited: &[RunId]) -> StoreResult<Vec<RunId>> {
        if awaited.is_empty() {
            return Ok(Vec::new());
        }
        self.readers
            .with("settled_of", |conn| runs::settled_of(conn, awaited))
    }
}

impl Listener for Ear {
    fn wait_max(&self) -> Duration {
        match self.writes.are_told() {
            true => WAIT_MAX,
            false => LOOK_EVERY,
        }
    }

    fn wait(
        &mut self,
        at_most: Duration,
        awaited: &dyn Fn() -> Vec<RunId>,
    ) -> StoreResult<Vec<Call>> {
        let until = Instant::now() + at_most;
        loop {
            if self.sleep(until) {
                return Ok(Vec::new());
            }
            self.attend()?;
            let calls = self.tell(awaited)?;
            if !calls.is_empty() || Instant::now() >= until {
                return Ok(calls);
            }
        }
    }
}

sql! {
    struct DataVersion = "PRAGMA data_version";
}

/// The version of the content as this connection sees it.
fn version(conn: &mut SqliteConnection) -> StoreResult<i64> {
    let rows = Stmt::<(BigInt,), DataVersion>::of(&[]).load::<(i64,)>(conn);
    match rows {
        Ok(rows) => Ok(rows.first().map_or(0, |(version,)| *version)),
        Err(error) => Err(fault::statement("data_version", &error)),
    }
}
