//! A world for one scenario: a throwaway database, virtual time, a recorder, a deadline.

mod probe;
mod rows;
mod statements;
mod watchdog;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono_forge::testing::{Failpoints, ManualClock};
use chrono_forge::{Builder, Forge};

use crate::backend::{self, Backend};
use crate::database::{Database, Hold};
pub use chrono_forge_tests_macros::scenario;
pub use probe::Probe;
pub use rows::{ErrorRow, RecordRow, Rows, RunRow};
pub use statements::{Statement, Statements, Waiting};

/// States of a run, as the column has them.
pub const IDLE: i64 = 0;
/// See [`IDLE`].
pub const RUNNING: i64 = 1;
/// See [`IDLE`].
pub const COMPLETED: i64 = 2;
/// See [`IDLE`].
pub const FAILED: i64 = 3;
/// See [`IDLE`].
pub const STALLED: i64 = 4;

/// Real time after which a scenario hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at the rows.
const LOOK: Duration = Duration::from_millis(2);

/// Everything that one scenario needs.
pub struct World {
    /// Virtual time; it stands still until it is moved.
    pub clock: ManualClock,
    /// What bodies and steps did; injected as `State<Probe>`.
    pub probe: Probe,
    /// Places where the engine dies.
    pub failpoints: Arc<Failpoints>,
    database: Database,
}

/// Engines of a scenario that are open at once: a worker and a client, or two workers.
const ENGINES: usize = 2;

/// Runs one scenario on a runtime of so many threads.
///
/// # Panics
/// When it fails.
pub fn play(backend: Backend, threads: usize, test: impl AsyncFnOnce(&World)) {
    backend::play(backend, threads, async |backend| {
        scenario(backend, test).await
    });
}

/// Runs one scenario in a world of its own; shows the rows when it hangs. For tests of several worlds, one
/// after the other; others are a [`scenario`](macro@scenario).
///
/// # Panics
/// When it fails.
pub async fn scenario(backend: Backend, test: impl AsyncFnOnce(&World)) {
    let world = World::new(backend);
    // A thread, because a deadlock stops the runtime's timers, too.
    let watchdog = watchdog::Watchdog::new(world.database.looker(), PATIENCE * 3 / 2);
    let ended = tokio::time::timeout(PATIENCE, test(&world)).await;
    drop(watchdog);
    assert!(
        ended.is_ok(),
        "the scenario hangs; its rows:\n{}\nits probe: {:?}",
        world.rows().dump(),
        world.probe.log()
    );
}

impl World {
    fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        Self {
            clock: ManualClock::new(),
            probe: Probe::default(),
            failpoints: Arc::default(),
            database: Database::new(backend, folder, ENGINES),
        }
    }

    /// The database file, in a scenario that is `sqlite_only`.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.database.file()
    }

    /// A directory of the world's own, which the file stands in if there is one.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        self.database.folder()
    }

    /// What kind of database it is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.database.backend()
    }

    /// Whether nobody has opened the database yet.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.database.is_untouched()
    }

    /// Nobody writes as long as this is held.
    #[must_use]
    pub fn hold_writes(&self) -> Hold {
        self.database.hold_writes()
    }

    /// No worker can renew its lease as long as this is held; see [`Database::hold_workers`].
    #[must_use]
    pub fn hold_workers(&self) -> Hold {
        self.database.hold_workers()
    }

    /// Nobody else uses this table as long as this is held; see [`Database::hold_table`].
    #[must_use]
    pub fn hold_table(&self, table: &str) -> Hold {
        self.database.hold_table(table)
    }

    /// Nobody else locks these rows as long as this is held; nothing is, on a file, which has no locks of rows.
    #[must_use]
    pub fn hold_rows(&self, table: &str, which: &str) -> Option<Hold> {
        self.database.hold_rows(table, which)
    }

    /// See [`Database::hold_keys`](crate::database::Database::hold_keys).
    #[must_use]
    pub fn hold_keys(&self, workflow: &str, keys: &[String]) -> Option<Hold> {
        self.database.hold_keys(workflow, keys)
    }

    /// The URL of the database.
    #[must_use]
    pub fn url(&self) -> String {
        self.database.url()
    }

    /// A worker over the world's database that serves these workflows. It looks for due runs once an
    /// hour, so that a run that it should know of and does not know of hangs.
    pub fn builder<N: Into<String>>(&self, workflows: impl IntoIterator<Item = N>) -> Builder {
        Forge::builder(&self.url())
            .workflows(workflows)
            .clock(Arc::new(self.clock.clone()))
            .failpoints(Arc::clone(&self.failpoints))
            .state(self.probe.clone())
            .poll_interval(Duration::from_secs(3_600))
    }

    /// See [`World::builder`].
    pub async fn forge<N: Into<String>>(&self, workflows: impl IntoIterator<Item = N>) -> Forge {
        self.builder(workflows)
            .open()
            .await
            .expect("the world's database opens")
    }

    /// The process dies here, and others notice at once.
    pub fn crash(&self, forge: &Forge) {
        forge.crash();
        self.bury();
    }

    /// Others notice at once that all who worked here so far are dead.
    pub fn bury(&self) {
        self.database.bury();
    }

    /// A process that starts, wakes and reads, but executes nothing.
    pub async fn client(&self) -> Forge {
        let none: [&str; 0] = [];
        let client = self.builder(none).worker(false);
        let client = client.poll_interval(Duration::from_millis(5));
        client.open().await.expect("the world's database opens")
    }

    /// Records the statements of every connection that is opened from now on.
    #[must_use]
    pub fn statements(&self) -> Statements {
        Statements::of(self.database.mark())
    }

    /// The rows as they are.
    #[must_use]
    pub fn rows(&self) -> Rows {
        Rows::new(self.database.look())
    }

    /// The present in microseconds, as rows have it.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    /// Looks until `is_so`.
    pub async fn until(&self, mut is_so: impl FnMut() -> bool) {
        while !is_so() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until this was noted so many times.
    pub async fn noted(&self, what: &str, times: usize) {
        self.until(|| self.probe.count(what) >= times).await;
    }

    /// Waits until the run is parked: idle, and not due.
    pub async fn parked(&self, key: &str) -> RunRow {
        loop {
            if let Some(run) = self.rows().find(key) {
                assert!(run.state <= RUNNING, "{key} settled: {run:?}");
                if run.state == IDLE && run.wake_at.is_none_or(|at| at > self.now()) {
                    return run;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// As [`World::quiet`]; answers when the run wants to go on.
    pub async fn quiet_wake_at(&self, key: &str) -> Option<i64> {
        self.quiet().await;
        self.rows().run(key).wake_at
    }

    /// Waits until nothing runs and nothing is due.
    pub async fn quiet(&self) {
        let mut still = 0;
        while still < 3 {
            let is_busy = self.rows().are_busy(self.now());
            still = if is_busy { 0 } else { still + 1 };
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Moves time from deadline to deadline until the run has settled, or until nothing has a
    /// deadline any more.
    pub async fn settle(&self, key: &str) -> RunRow {
        loop {
            self.quiet().await;
            let run = self.rows().run(key);
            if run.state > RUNNING {
                return run;
            }
            let Some(next) = self.rows().next_deadline() else {
                return run;
            };
            self.move_to(next);
        }
    }

    /// Moves time to this instant, in microseconds.
    pub fn move_to(&self, instant: i64) {
        let left = u64::try_from(instant - self.now()).unwrap_or(0);
        self.clock.advance(Duration::from_micros(left));
    }

    /// Moves time to the next whole second, on which grids of whole seconds stand.
    pub fn start_of_second(&self) {
        self.move_to((self.now() / 1_000_000 + 1) * 1_000_000);
    }

    /// The future's output, or `None` when it is not ready soon; for what must not happen.
    pub async fn soon<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(Duration::from_millis(50), future)
            .await
            .ok()
    }
}

/// An engine that bodies call, injected before it is open.
#[derive(Clone, Debug, Default)]
pub struct Slot(Arc<std::sync::Mutex<Option<Forge>>>);

impl Slot {
    /// Fills the slot.
    pub fn put(&self, forge: Forge) {
        *self.lock() = Some(forge);
    }

    /// The engine.
    #[must_use]
    pub fn get(&self) -> Forge {
        self.lock().clone().expect("the slot is filled")
    }

    /// Breaks the cycle of an engine that holds itself.
    pub fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Forge>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
