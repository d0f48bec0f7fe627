//! One database that engines open, die on and open again, on a clock that is moved by hand.

mod probe;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono_forge::testing::{Failpoints, ManualClock};
use chrono_forge::{Forge, Invocation, StoreErrorKind, Workflow};
use serde::Deserialize;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::database::{Database, Look};
use crate::rows;
pub use probe::Probe;

/// After so long without a commit a live pass can only be waiting for the clock.
const QUIET: Duration = Duration::from_millis(25);

/// Who sleeps longer than any `wait!` waits at a gate with a timeout.
const GATED: Duration = Duration::from_secs(86_400);

/// A run that takes longer hangs.
const HANGS: Duration = Duration::from_secs(40);

/// Longer than any of these tests takes.
const LEASE: Duration = Duration::from_secs(60);

const HEARTBEAT: Duration = Duration::from_millis(2_500);

/// A database, a clock and a probe that outlive the engines.
pub struct Site {
    database: Database,
    /// The workflows' clock.
    pub clock: ManualClock,
    /// What step bodies tell.
    pub probe: Probe,
    /// Runs per transaction.
    pub batch_max: usize,
    /// The lease of its workers, which renew it at least four times as often.
    pub lease: Duration,
}

/// How a drive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driven {
    /// Every run is settled.
    Settled,
    /// A failpoint went off.
    Crashed,
}

impl Site {
    /// An empty database.
    ///
    /// # Panics
    /// When there is no room for a temporary folder.
    #[must_use]
    pub fn new(backend: Backend, batch_max: usize) -> Self {
        // One engine dies, another one takes over.
        let database = Database::new(backend, scratch(), 1);
        let folder = database.folder().to_owned();
        let clock = ManualClock::new();
        Self {
            probe: Probe::new(database.looker(), folder, clock.clone()),
            database,
            clock,
            batch_max,
            lease: LEASE,
        }
    }

    /// Opens an engine over the database.
    ///
    /// # Panics
    /// When it cannot be opened, unless a failpoint went off meanwhile.
    pub async fn open(&self, failpoints: &Arc<Failpoints>) -> Option<Forge> {
        let opened = Forge::builder(&self.database.url())
            .state(self.probe.clone())
            .clock(Arc::new(self.clock.clone()))
            .commit_batch_max(self.batch_max)
            .lease(self.lease)
            .heartbeat(HEARTBEAT.min(self.lease / 4))
            // One that died at its very last commit has nobody left to hear of it.
            .shutdown_grace(Duration::from_millis(300))
            .readers(2)
            .failpoints(Arc::clone(failpoints))
            .open()
            .await;
        match opened {
            Ok(forge) => Some(forge),
            Err(chrono_forge::Error::Store(error)) if error.kind == StoreErrorKind::Closed => None,
            Err(error) => panic!("open: {error}"),
        }
    }

    /// Starts the run if it does not exist yet, and drives everything to its end or to the crash.
    ///
    /// # Panics
    /// When nothing moves any more.
    pub async fn drive<W: Workflow>(
        &self,
        failpoints: &Arc<Failpoints>,
        invocation: impl FnOnce() -> Invocation<W::Output>,
    ) -> Driven {
        let Some(forge) = self.within("open", self.open(failpoints)).await else {
            return Driven::Crashed;
        };
        let settle = async {
            let found = self.within("get", forge.get::<W>("root")).await;
            if found.is_ok_and(|run| run.is_none()) {
                let started = self.within("start", forge.start("root", invocation()));
                // A crash at this very commit: the next drive starts it again.
                let _ = started.await;
            }
            self.settle::<W>(&forge).await;
        };
        let driven = tokio::select! {
            () = settle => Driven::Settled,
            () = forge.crashed() => Driven::Crashed,
        };
        match driven {
            Driven::Settled => self.within("shutdown", forge.shutdown()).await,
            Driven::Crashed => self.database.bury_all(),
        }
        driven
    }

    /// What a call of the engine's comes to, which is named if it hangs.
    async fn within<T>(&self, call: &str, answer: impl Future<Output = T>) -> T {
        match tokio::time::timeout(HANGS, answer).await {
            Ok(answer) => answer,
            Err(_) => self.hangs(call),
        }
    }

    fn hangs(&self, call: &str) -> ! {
        let rows = rows::dump(&self.look());
        panic!("{call}: nothing moves any more\n{}", rows.join("\n"))
    }

    async fn settle<W: Workflow>(&self, forge: &Forge) {
        let rows = self.look();
        let begun = Instant::now();
        let mut seen = (0, Instant::now());
        loop {
            tokio::time::sleep(Duration::from_micros(500)).await;
            if begun.elapsed() > HANGS {
                self.hangs("settle");
            }
            let commits = forge.commits();
            if commits != seen.0 {
                seen = (commits, Instant::now());
            }
            match Standing::of(&rows, self.clock.now().as_microsecond()) {
                Standing::Settled => return,
                Standing::Working if seen.1.elapsed() > QUIET => {
                    self.clock.advance(Duration::from_secs(1));
                    seen.1 = Instant::now();
                }
                Standing::Working | Standing::Nothing => {}
                Standing::Sleeping(micros) if micros < GATED.as_micros() as u64 => {
                    self.clock.advance(Duration::from_micros(micros));
                }
                Standing::Parked | Standing::Sleeping(_) => {
                    self.probe.knock();
                    // A crash in here ends the drive; so does a failure to wake.
                    let _ = self.within("wake", forge.wake::<W>("root")).await;
                }
            }
        }
    }

    /// A connection that only looks.
    #[must_use]
    pub fn look(&self) -> Look {
        self.database.look()
    }

    /// Rows that count, after checking that they are whole in themselves and that the probe saw
    /// nothing that may not be.
    ///
    /// # Panics
    /// When a check fails.
    #[must_use]
    pub fn rows(&self, what: &str) -> Vec<String> {
        let look = self.look();
        let found = rows::dump(&look);
        let mut complaints = rows::broken(&look);
        complaints.extend(self.probe.complaints());
        assert!(
            complaints.is_empty(),
            "{what}: {}\n{}",
            complaints.join("\n"),
            found.join("\n")
        );
        found
    }
}

enum Standing {
    /// No run yet.
    Nothing,
    Settled,
    Working,
    /// Everything sleeps, the first of them for so many microseconds.
    Sleeping(u64),
    /// Everything waits to be woken.
    Parked,
}

impl Standing {
    fn of(look: &Look, now: i64) -> Self {
        let counts: Vec<Counts> = look.rows(
            "SELECT count(*) AS runs, count(*) FILTER (WHERE state = 0) AS idle,
                count(*) FILTER (WHERE state = 1) AS running, micros(min(wake_at)) AS next
            FROM chrono_forge_workflows",
            &[],
        );
        // The tables may not be there yet.
        let Some(counts) = counts.first().filter(|it| it.runs > 0) else {
            return Self::Nothing;
        };
        match (counts.idle, counts.running, counts.next) {
            (0, 0, _) => Self::Settled,
            (_, 0, None) => Self::Parked,
            (_, 0, Some(at)) if at > now => Self::Sleeping(at.abs_diff(now)),
            _ => Self::Working,
        }
    }
}

#[derive(Deserialize)]
struct Counts {
    runs: i64,
    idle: i64,
    running: i64,
    next: Option<i64>,
}

/// A throwaway folder, in memory where the host has one: these tests kill engines, not machines.
///
/// # Panics
/// When no folder can be made.
#[must_use]
pub fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .expect("a temporary folder")
}
