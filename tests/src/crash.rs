//! One database that engines open, die on and open again, on a clock that is moved by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use chrono_forge::testing::{Failpoints, ManualClock};
use chrono_forge::{Forge, Invocation, StoreErrorKind, Workflow};
use serde::Deserialize;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::database::{Database, Look, Looker, Param};
use crate::journal::Journal;
use crate::rows;
use crate::shop::{self, ShopPool};

/// After so long without a commit a live pass can only be waiting for the clock.
const QUIET: Duration = Duration::from_millis(25);

/// Who sleeps longer than any `wait!` waits at a gate with a timeout.
const GATED: Duration = Duration::from_secs(86_400);

/// A run that takes longer hangs.
const HANGS: Duration = Duration::from_secs(40);

/// A database, a clock and a probe that outlive the engines.
pub struct Site {
    database: Database,
    /// The workflows' clock.
    pub clock: ManualClock,
    /// What step bodies tell.
    pub probe: Probe,
    /// Runs per transaction.
    pub batch_max: usize,
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
        Self {
            probe: Probe::new(database.looker(), folder),
            database,
            clock: ManualClock::new(),
            batch_max,
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
            .lease(Duration::from_secs(60))
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
        let driven = tokio::time::timeout(2 * HANGS, self.drive_on::<W>(failpoints, invocation));
        driven.await.expect("the engine hangs")
    }

    async fn drive_on<W: Workflow>(
        &self,
        failpoints: &Arc<Failpoints>,
        invocation: impl FnOnce() -> Invocation<W::Output>,
    ) -> Driven {
        let Some(forge) = self.open(failpoints).await else {
            return Driven::Crashed;
        };
        let settle = async {
            if forge.get::<W>("root").await.is_ok_and(|run| run.is_none()) {
                // A crash at this very commit: the next drive starts it again.
                let _ = forge.start("root", invocation()).await;
            }
            self.settle::<W>(&forge).await;
        };
        let driven = tokio::select! {
            () = settle => Driven::Settled,
            () = forge.crashed() => Driven::Crashed,
        };
        match driven {
            Driven::Settled => forge.shutdown().await,
            Driven::Crashed => self.database.bury_all(),
        }
        driven
    }

    async fn settle<W: Workflow>(&self, forge: &Forge) {
        let rows = self.look();
        let begun = Instant::now();
        let mut seen = (0, Instant::now());
        loop {
            tokio::time::sleep(Duration::from_micros(500)).await;
            if begun.elapsed() > HANGS {
                panic!("nothing moves any more\n{}", rows::dump(&rows).join("\n"));
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
                    let _ = forge.wake::<W>("root").await;
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

/// What step bodies do to the world, and what the world may ask of them afterwards.
#[derive(Clone)]
pub struct Probe {
    looker: Looker,
    folder: PathBuf,
    /// What bodies write down.
    pub journal: Journal,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    executions: Mutex<BTreeMap<(String, String), u32>>,
    complaints: Mutex<Vec<String>>,
    /// Wake-ups of a run that waited at its gate.
    knocks: AtomicU32,
    shop: OnceLock<ShopPool>,
}

impl Probe {
    fn new(looker: Looker, folder: PathBuf) -> Self {
        Self {
            looker,
            folder,
            journal: Journal::default(),
            shared: Arc::default(),
        }
    }

    /// A table beside the engine's, opened when it is asked for first.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn shop(&self) -> &ShopPool {
        self.shared.shop.get_or_init(|| shop::open(&self.folder))
    }

    /// A body begins. `step` is the name of its row.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub fn enter(&self, run: &str, step: &str) {
        let place = (run.to_owned(), step.to_owned());
        *self
            .shared
            .executions
            .lock()
            .expect("unpoisoned")
            .entry(place)
            .or_default() += 1;
        let recorded = self.count(
            "SELECT count(*) FROM chrono_forge_execution_logs AS l
            JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
            WHERE w.key = ? AND l.step_name = ? AND l.state <> 0",
            run,
            step,
        );
        if recorded > 0 {
            self.complain(format!("{step} of {run} ran although it was recorded"));
        }
    }

    /// Something happened that may not.
    ///
    /// # Panics
    /// Never.
    pub fn complain(&self, complaint: String) {
        let mut complaints = self.shared.complaints.lock().expect("unpoisoned");
        complaints.push(complaint);
    }

    /// User code begins after the body has received this outcome, which must be durable by then.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub fn behind(&self, run: &str, what: &str, row: &str) {
        let recorded = self.count(
            "SELECT count(*) FROM chrono_forge_execution_logs AS l
            JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
            WHERE w.key = ? AND l.step_name = ? AND l.state <> 0",
            run,
            row,
        );
        if recorded == 0 {
            self.complain(format!("{what} of {run} began before {row} was durable"));
        }
    }

    /// How many failures of a row are durable.
    ///
    /// # Panics
    /// When the database cannot be read.
    #[must_use]
    pub fn failures(&self, run: &str, step: &str) -> i64 {
        self.count(
            "SELECT count(*) FROM chrono_forge_error_logs AS e
            JOIN chrono_forge_workflows AS w ON w.id = e.workflow_id
            WHERE w.key = ? AND e.step_name = ?",
            run,
            step,
        )
    }

    /// A body that succeeds.
    ///
    /// # Errors
    /// Never.
    pub async fn ok(&self, run: &str, step: &str, value: u32) -> anyhow::Result<u32> {
        self.enter(run, step);
        Ok(value)
    }

    /// A body that is pending for a while before it succeeds.
    ///
    /// # Errors
    /// Never.
    pub async fn slowly(&self, run: &str, step: &str, polls: u32) -> anyhow::Result<u32> {
        self.enter(run, step);
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        Ok(polls)
    }

    /// A body that fails until so many failures of it are recorded: what counts is what is durable,
    /// not how often it was tried.
    ///
    /// # Errors
    /// As long as it has not failed often enough.
    pub async fn flaky(&self, run: &str, step: &str, failures: i64) -> anyhow::Result<u32> {
        self.enter(run, step);
        let failed = self.failures(run, step);
        anyhow::ensure!(failed >= failures, "{step} failed");
        Ok(7)
    }

    /// A body that never ends.
    ///
    /// # Errors
    /// Never.
    pub async fn forever(&self, run: &str, step: &str) -> anyhow::Result<u32> {
        self.enter(run, step);
        std::future::pending().await
    }

    /// A condition that is true from the second wake-up on.
    ///
    /// # Errors
    /// Never.
    pub async fn gate(&self, run: &str, step: &str) -> anyhow::Result<bool> {
        self.enter(run, step);
        Ok(self.shared.knocks.load(Ordering::SeqCst) > 1)
    }

    /// A condition that is true once it was recorded as not yet true, and so much time has passed
    /// that it was polled this often: its row counts nothing, so the timer tells.
    ///
    /// # Errors
    /// Never.
    pub async fn flaky_condition(&self, run: &str, step: &str, polls: i64) -> anyhow::Result<bool> {
        self.enter(run, step);
        let spent = self.count(
            "SELECT coalesce(max((micros(l.wake_at) - micros(l.started_at)) / 300000000), 0)
            FROM chrono_forge_execution_logs AS l
            JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
            WHERE w.key = ? AND l.step_name = ?",
            run,
            step,
        );
        Ok(spent >= polls)
    }

    /// A condition that is true once so many ticks of a repeat are recorded as over.
    ///
    /// # Errors
    /// Never.
    pub async fn ticks_are_over(
        &self,
        run: &str,
        repeat: &str,
        ticks: i64,
    ) -> anyhow::Result<bool> {
        let over = self.count(
            "SELECT count(*) FROM chrono_forge_execution_logs AS l
            JOIN chrono_forge_workflows AS w ON w.id = l.workflow_id
            WHERE w.key = ? AND l.step_name LIKE ? AND l.state <> 0
                AND field(l.metadata, 'scheduled_for') IS NOT NULL",
            run,
            &format!("{repeat}$%"),
        );
        Ok(over >= ticks)
    }

    /// Changes rows behind the engine's back.
    ///
    /// # Panics
    /// When the database cannot be written.
    pub fn tear(&self, sql: &str) {
        self.looker.look().edit(sql, &[]);
    }

    /// Whether a query answers a number other than 0.
    ///
    /// # Panics
    /// When the database cannot be read.
    #[must_use]
    pub fn finds(&self, sql: &str) -> bool {
        self.looker.look().number(sql, &[]) != 0
    }

    /// How often each body ran, by run and row.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn executions(&self) -> BTreeMap<(String, String), u32> {
        self.shared.executions.lock().expect("unpoisoned").clone()
    }

    fn complaints(&self) -> Vec<String> {
        self.shared.complaints.lock().expect("unpoisoned").clone()
    }

    fn knock(&self) {
        self.shared.knocks.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self, sql: &str, run: &str, step: &str) -> i64 {
        let params: [Param; 2] = [run.into(), step.into()];
        self.looker.look().number(sql, &params)
    }
}
