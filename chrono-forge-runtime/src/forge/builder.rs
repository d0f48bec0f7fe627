//! The builder: every knob, validated together at `open`.

use std::sync::Arc;
use std::time::Duration;

use super::Forge;
use super::lifecycle::Lifecycle;
use super::runtimes;
use crate::clock::{Clock, SystemClock};
use crate::context::invocation::Workflow;
use crate::definition::Definition;
use crate::engine::applications::Applications;
use crate::engine::config::{Config, SLOTS};
use crate::engine::parts::unopened;
use crate::engine::registry::{Chosen, Registry, States};
use crate::engine::timekeeping;
use crate::error::Error;
use crate::failpoint::Failpoints;
use crate::store::StoreError;
use crate::store::address;
use crate::store::caller::{Caller, Waiting};
use crate::store::opening::{self, OpenOptions};
#[cfg(feature = "postgres")]
use crate::store::postgres::{DatabasePool, Lender, LentConnection};

/// A server that is started beside its clients is up within this in most cases.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Settings of a [`Forge`]. Nothing is opened before [`Builder::open`].
#[must_use = "a builder does nothing until it is opened"]
pub struct Builder {
    pub(super) url: String,
    pub(super) config: Config,
    /// The first `.queue(..)` replaces the default queues.
    queues_given: bool,
    workflows: Option<Vec<String>>,
    /// Those of `serving`.
    serving: Vec<&'static Definition>,
    states: States,
    /// `None` for real time.
    clock: Option<Arc<dyn Clock>>,
    migrate: bool,
    readers: Option<u32>,
    writers: Option<u32>,
    open_timeout: Duration,
    failpoints: Arc<Failpoints>,
    #[cfg(feature = "postgres")]
    lender: Option<Lender>,
}

impl Builder {
    pub(super) fn new(url: &str) -> Self {
        let config = Config::default();
        Self {
            url: url.to_owned(),
            queues_given: false,
            workflows: None,
            serving: Vec::new(),
            states: States::default(),
            clock: None,
            migrate: true,
            readers: None,
            writers: None,
            open_timeout: OPEN_TIMEOUT,
            config,
            failpoints: Arc::new(default_failpoints()),
            #[cfg(feature = "postgres")]
            lender: None,
        }
    }

    /// Works on connections of the application's own pool, whose settings are theirs again when they are given
    /// back. Of the URL only the parameters that are this crate's count (`schema`, `writers`, ..):
    /// `Forge::builder("postgres://?schema=forge").database_pool(pool)`.
    ///
    /// The engine keeps what it borrows: `writers` (2) and two more that write, and up to
    /// [`readers`](Self::readers) (4) that read; while somebody keeps a row locked, it borrows two
    /// more. So the pool needs a `max_size` of 10 (7 where the worker is off) and what the
    /// application itself needs; a smaller one is refused at [`open`](Self::open). To hear other
    /// processes it opens one connection of its own, if the URL says where
    /// (`postgres://app@db/app?schema=forge`); otherwise their runs are seen at the poll interval.
    #[cfg(feature = "postgres")]
    pub fn database_pool(mut self, pool: DatabasePool) -> Self {
        self.lender = Some(Lender::of_pool(pool));
        self
    }

    /// As [`database_pool`](Self::database_pool), for a pool of another kind whose connections are
    /// Diesel's: `lend` gives one, which goes back when it is dropped, and waits for it on a thread
    /// that may block; `most` is how many it lends.
    ///
    /// A pool of other connections (sqlx's, `tokio-postgres` in deadpool or bb8) cannot lend them
    /// to this crate, which speaks through Diesel: give it the URL, as a neighbour with connections
    /// of its own. What the two take of the server's `max_connections` adds up.
    ///
    /// [`open`](Self::open) refuses a `most` below what the engine keeps, with that number.
    ///
    /// ```
    /// # use chrono_forge_runtime::forge::Forge;
    /// use diesel::{Connection, PgConnection};
    ///
    /// let lend = || PgConnection::establish("postgres://app@db/app").map(Box::new);
    /// let builder = Forge::builder("postgres://?schema=forge").database_connections(12, lend);
    /// # drop(builder);
    /// ```
    #[cfg(feature = "postgres")]
    pub fn database_connections<C, E>(
        mut self,
        most: u32,
        lend: impl Fn() -> Result<C, E> + Send + Sync + 'static,
    ) -> Self
    where
        C: LentConnection,
        E: std::fmt::Display,
    {
        self.lender = Some(Lender::new(most, lend));
        self
    }

    /// Injects a state, handed to workflows that take `State<T>`. An `Arc<T>` is handed to them,
    /// too: whoever gave it keeps a clone. A second state of a type replaces the first.
    ///
    /// ```
    /// # use std::sync::{Arc, Mutex};
    /// # use chrono_forge_runtime::forge::Forge;
    /// let sent: Arc<Mutex<Vec<String>>> = Arc::default(); // `State<Mutex<Vec<String>>>`
    /// let builder = Forge::builder("sqlite::memory:").state(sent.clone());
    /// # drop(builder);
    /// assert!(sent.lock().unwrap().is_empty());
    /// ```
    pub fn state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        self.states.insert(state);
        self
    }

    /// Serves a queue with this many slots: bodies that execute at the same time. The first call
    /// replaces the default, queue `default` with 64 slots. More than a million count as a million.
    pub fn queue(mut self, name: &str, slots: usize) -> Self {
        if !std::mem::replace(&mut self.queues_given, true) {
            self.config.queues.clear();
        }
        self.config.queues.retain(|(queue, _)| queue != name);
        self.config.queues.push((name.to_owned(), slots));
        self
    }

    /// Serves this workflow and whatever it spawns, and asks for no state but theirs: of the other workflows of the
    /// binary, those whose states are given are served, which is all of its children at any depth, and the others are
    /// left out. Their queues are served too, with 64 slots each where [`queue`](Self::queue) does not say otherwise.
    ///
    /// For a test, or a small binary, in a crate whose other workflows take states that it does not have. Several calls
    /// add up.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::Error, forge::Forge};
    /// # async fn example<Sum: Workflow>() -> Result<(), Error> {
    /// let forge = Forge::builder("sqlite::memory:").serving::<Sum>().open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A workflow that was left out and is started or spawned all the same is told by name, with the state that it
    /// takes: [`Error::MissingState`] from [`Forge::start`], and a failed run that spawned it. To start runs that other
    /// processes execute, name what this one does with [`workflows`](Self::workflows).
    pub fn serving<W: Workflow>(mut self) -> Self {
        self.serving.push(W::DEFINITION);
        self
    }

    /// Serves only these workflows, by their registered names; otherwise every linked one. Their children have to be
    /// among them; [`serving`](Self::serving) brings them.
    pub fn workflows<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.workflows = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether this process executes runs (default) or only starts, wakes and reads them.
    pub fn worker(mut self, on: bool) -> Self {
        self.config.worker = on;
        self
    }

    /// The application that workflows of this process belong to; by default each belongs to the
    /// Cargo package of its function.
    ///
    /// In one schema (PostgreSQL) or file (SQLite) a workflow's name belongs to the application
    /// that served, started or spawned it first. Any other application is refused with
    /// [`Error::OtherApplication`]: two functions that only share a name would fail each other's
    /// runs. A package that was renamed says here what it was called.
    ///
    /// ```
    /// # async fn example(url: &str) -> Result<(), chrono_forge_runtime::error::Error> {
    /// // The package was called `shop` when its first runs were started.
    /// let forge = chrono_forge_runtime::forge::Forge::builder(url);
    /// let forge = forge.application("shop").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Builder::open`] refuses a name that is empty or has a null character.
    pub fn application(mut self, name: &str) -> Self {
        self.config.application = Some(name.to_owned());
        self
    }

    /// The worker's name, for operators; default `worker`. Sessions with a server carry it, too
    /// (`billing-7 heartbeat`), unless the URL says otherwise with `application_name`.
    pub fn worker_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.config.worker_name);
        self
    }

    /// How long a worker may be silent before others declare it dead; default 10 s. At least two
    /// heartbeats, from 100 ms to 30 days. It stands in the worker's row, and the others judge by that, whatever their
    /// own is.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.config.lease = lease;
        self
    }

    /// How often a worker renews its lease, from a thread of its own; default 2.5 s. At least 10 ms.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.config.heartbeat = heartbeat;
        self
    }

    /// The longest time between two looks for due runs; default 1 s, at least 1 ms. Runs that this
    /// process knows of start without waiting for it, and so do those that other processes make
    /// due: on a file it is noticed within 50 ms that they have written, and PostgreSQL carries
    /// their calls.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.config.poll_interval = interval;
        self
    }

    /// How long [`Forge::shutdown`] lets passes go on; default 30 s. What was done until then is written within
    /// as long again, or within a second if the grace is shorter. `Duration::MAX` waits for as long as they take.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.config.shutdown_grace = grace;
        self
    }

    /// The most bytes of JSON that one argument list, result or output may have; default 4 MiB, at least 1 KiB.
    pub fn payload_bytes_max(mut self, bytes: usize) -> Self {
        self.config.payload_bytes_max = bytes;
        self
    }

    /// The most bytes of JSON that a run's context may have; default 1 MiB, at least 16 KiB. Each
    /// pass reads all of it; a step writes what it changed.
    pub fn context_bytes_max(mut self, bytes: usize) -> Self {
        self.config.context_bytes_max = bytes;
        self
    }

    /// The most bytes that SQLite's write-ahead log may have before it is truncated; default 64
    /// MiB, at least 1 MiB. That has to wait for transactions that read the database; one that is
    /// in the way for long is warned of. What it has kept in the log is moved into the file beside
    /// the work. Without meaning on PostgreSQL.
    pub fn wal_bytes_max(mut self, bytes: u64) -> Self {
        self.config.wal_bytes_max = bytes;
        self
    }

    /// The most runs written in one transaction; default 1000. With 1 each write is a commit of
    /// its own, which makes a crash sweep deterministic.
    pub fn commit_batch_max(mut self, plans: usize) -> Self {
        self.config.batch.plans_max = plans;
        self
    }

    /// The most connections that read at the same time, beside those that write; default 4. None at
    /// all counts as one. It overrides a `readers` in the URL of a server.
    pub fn readers(mut self, readers: u32) -> Self {
        self.readers = Some(readers);
        self
    }

    /// The most connections that commit to PostgreSQL at the same time; default 2, from 1 to 16:
    /// less counts as 1, more as 16. It overrides a `writers` in the URL. Without meaning on
    /// SQLite, where one writes.
    pub fn writers(mut self, writers: u32) -> Self {
        self.writers = Some(writers);
        self
    }

    /// How long [`open`](Self::open) waits for a server that is not up yet, or has no room for
    /// another connection; default 15 s. A warning says meanwhile what it waits for. With
    /// `Duration::ZERO` it tries once. Once it is open an engine waits for its server for as long
    /// as it takes.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use chrono_forge_runtime::forge::Forge;
    /// let builder = Forge::builder("postgres://app@db/app").open_timeout(Duration::from_secs(60));
    /// # drop(builder);
    /// ```
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// Where workflows take the time from; default real time: the database's clock where hosts share one
    /// (PostgreSQL), else the host's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Opens without any right to change the schema: an older one is refused instead of migrated.
    pub fn verify_only(mut self) -> Self {
        self.migrate = false;
        self
    }

    /// Places where the engine dies, for crash tests.
    #[cfg(feature = "testing")]
    pub fn failpoints(mut self, failpoints: Arc<Failpoints>) -> Self {
        self.failpoints = failpoints;
        self
    }

    /// Opens the database and, unless the worker is off, begins to execute due runs.
    ///
    /// The engine lives on the tokio runtime that this is awaited on, which needs timers (`enable_all`) and real time
    /// (no `start_paused`), and ends with it: open one `Forge` for each runtime.
    ///
    /// # Errors
    /// [`Error::Config`] for a knob that cannot work, or for a runtime that cannot carry the
    /// engine; [`Error::DuplicateWorkflow`], [`Error::UnregisteredWorkflow`],
    /// [`Error::MissingState`] and [`Error::OtherApplication`] for the served workflows, checked
    /// only where the worker is on; [`Error::Store`] when the database cannot be opened.
    pub async fn open(mut self) -> Result<Forge, Error> {
        self.config.validate()?;
        let runtime = runtimes::current(self.config.worker)?;
        let registry = self.registry()?;
        // Until the end of this call: what it waits for ends with it.
        let waiting = Waiting::default();
        let options = OpenOptions {
            caller: waiting.caller(),
            ..self.options()
        };
        let url = self.url;
        let database = address::shown(url.trim());
        #[cfg(feature = "postgres")]
        let open = move || match self.lender {
            Some(lender) => opening::open_lent(&url, options, lender),
            None => opening::open(&url, options),
        };
        #[cfg(not(feature = "postgres"))]
        let open = move || opening::open(&url, options);
        let opened = runtime.spawn_blocking(move || {
            let store = open()?;
            let database_clock = timekeeping::open(store.as_ref())?;
            Ok::<_, StoreError>((store, database_clock))
        });
        let (store, database_clock) = opened.await.map_err(unopened)??;
        let clock = self.clock.unwrap_or_else(|| match &database_clock {
            Some(clock) => Arc::clone(clock) as _,
            None => Arc::new(SystemClock),
        });
        let applications = Applications::new(self.config.application.clone());
        let parts = crate::engine::host::HostParts {
            clock,
            database_clock,
            store,
            config: self.config,
            registry,
            states: self.states,
            applications,
            failpoints: self.failpoints,
            runtime,
            database,
        };
        let (lifecycle, owner) = Lifecycle::begin(parts).await?;
        Ok(Forge {
            lifecycle: Arc::new(lifecycle),
            _owner: Some(Arc::new(owner)),
        })
    }
}

impl Builder {
    /// What the database is opened with.
    pub(super) fn options(&self) -> OpenOptions {
        let is_named = self.config.worker_name != Config::default().worker_name;
        OpenOptions {
            name: is_named.then(|| self.config.worker_name.clone()),
            migrate: self.migrate,
            readers: self.readers,
            writers: self.writers,
            timeout: self.open_timeout,
            wal_bytes_max: self.config.wal_bytes_max,
            lease: self.config.lease,
            executes: self.config.worker,
            caller: Caller::default(),
        }
    }

    /// What this process serves; its queues are served, too, if it was chosen with what it spawns.
    fn registry(&mut self) -> Result<Registry, Error> {
        if !self.config.worker {
            return Ok(Registry::default());
        }
        let chosen = Chosen {
            names: self.workflows.as_deref(),
            serving: &self.serving,
        };
        let registry = Registry::of(&chosen, &self.states)?;
        registry.check_states(&self.states)?;
        if !self.serving.is_empty() {
            for queue in registry.queues() {
                let queues = &mut self.config.queues;
                if queues.iter().all(|(name, _)| name != queue) {
                    queues.push((queue.to_owned(), SLOTS));
                }
            }
        }
        Ok(registry)
    }
}

#[cfg(feature = "testing")]
fn default_failpoints() -> Failpoints {
    Failpoints::from_env()
}

#[cfg(not(feature = "testing"))]
fn default_failpoints() -> Failpoints {
    Failpoints
}
