//! SQLite: one file, one writing connection, a few that only read, and one that moves a large log.
//!
//! The log is written ahead and synced at every commit, so what is acknowledged survives a power
//! cut, and readers never wait for the writer. Every write takes the lock at its start (`BEGIN
//! IMMEDIATE`), so what it reads cannot change before it commits.
//! A database in memory has a single connection, which all take in turns.

mod access;
mod applications;
mod audits;
mod backup;
mod bind;
mod claim;
mod commit;
mod connection;
mod ear;
mod failures;
mod fault;
mod frames;
mod header;
mod held;
mod identity;
mod library;
pub mod location;
mod locks;
mod log;
mod mover;
mod naming;
mod opening;
mod options;
mod pace;
mod pool;
mod queue;
mod records;
mod recovery;
mod results;
mod runs;
mod schema;
mod sequence;
mod standstill;
mod start;
mod statement;
mod transfer;
mod turns;
mod wake;
mod worker;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use jiff::Timestamp;

use super::shared;
use super::shared::arrivals::Arrivals;
use super::shared::beats::Beats;
use super::{
    AuditWork, AwaitedRow, Capabilities, Listener, Outlook, ServingRow, Store, StoreError,
    StoreResult, UnservedRow, WorkerLocks, WorkerRow, Writer,
};
use crate::error::StoreErrorKind;
use crate::record::{
    Belonging, BlockedChild, BranchCounters, BranchRow, BranchState, ChildCount, Due, FailurePage,
    FailurePlace, Json, Namesake, OutputRow, PendingRow, RecordId, RecordRow, RunId, RunRow,
    SpawnPath, Standstill,
};
use connection::Purpose;
use ear::Ear;
use identity::Identity;
use library::Version;
pub use location::{Location, LocationError, Synchronous};
use locks::LockFiles;
use log::Log;
use mover::Mover;
pub use options::SqliteOptions;
use pool::Readers;
#[cfg(test)]
pub(super) use schema::upgrade;
use turns::Company;
use writer::{Shared, SqliteWriter};

/// A database file, or one in memory.
pub struct SqliteStore {
    options: SqliteOptions,
    writing: Shared,
    /// `None` in memory.
    readers: Option<Arc<Readers>>,
    /// `None` in memory, and where the library cannot tell how long a log is: see [`Log`].
    mover: Option<Arc<Mover>>,
    /// The ends of the ears that were opened.
    ears: Mutex<Vec<ear::End>>,
    company: Company,
    identity: Identity,
    arrivals: Arrivals,
    /// See [`LockFiles::are_kept`].
    locks_are_kept: OnceLock<bool>,
    beats: Arc<Beats>,
}

impl SqliteStore {
    /// Opens the database and brings its schema up to date, or verifies that it is.
    pub fn open(mut options: SqliteOptions) -> StoreResult<Self> {
        let Location::File(path) = &mut options.location else {
            return Self::open_at(options);
        };
        *path = absolute(path)?;
        let path = path.clone();
        Self::open_at(options).map_err(|error| access::explained(&path, error))
    }

    fn open_at(options: SqliteOptions) -> StoreResult<Self> {
        let url = address(&options.location)?;
        let patience = options.busy_timeout;
        let write = Purpose::Write(options.synchronous);
        let (mut conn, identity) = match &options.location {
            Location::Memory => (connection::open(url, write, patience)?, None),
            Location::File(path) => {
                access::ensure_writable(path, options.executes)?;
                (opening::open(path, (url, write), patience)?, Some(path))
            }
        };
        let library = Version::of(&mut conn)?;
        library.tell();
        schema::ensure(&mut conn, options.migrate, patience)?;
        let identity = match identity {
            None => Identity::none(),
            Some(path) => {
                header::count_on(path, (url, write), patience)?;
                Identity::of(path, &mut conn)?
            }
        };
        let arrivals = Arrivals::default();
        let latest = queue::latest_arrival(&mut conn);
        if let Some(latest) = latest.map_err(|error| fault::statement("open", &error))? {
            arrivals.found(latest);
        }
        let has_file = options.location != Location::Memory;
        let has_mover = has_file && library.counts_logs();
        if has_mover {
            let set = conn.batch_execute(log::COMMITS_MOVE_NOTHING);
            set.map_err(|error| fault::statement("open", &error))?;
        }
        let mover = has_mover.then(|| Mover::new(url, write, patience, identity.clone()));
        let readers = has_file.then(|| {
            let readers = Readers::new(url.to_owned(), options.readers, patience, identity.clone());
            Arc::new(readers)
        });
        Ok(Self {
            writing: Shared::new(conn),
            readers,
            mover,
            ears: Mutex::default(),
            company: Company::default(),
            identity,
            arrivals,
            locks_are_kept: OnceLock::new(),
            beats: Arc::default(),
            options,
        })
    }

    fn read<T>(
        &self,
        operation: &'static str,
        mut read: impl FnMut(&mut SqliteConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        match &self.readers {
            Some(readers) => readers.with(operation, read),
            None => {
                read(&mut self.writing.lock()).map_err(|error| fault::statement(operation, &error))
            }
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Closing the last connection moves the log. A write under way looks after its own commit.
        if let Some(mut conn) = self.writing.try_lock() {
            let _ = self.identity.verified("close", &mut conn, Ok(()));
        }
        if self.identity.is_lost() {
            // The last connection that is closed writes its log into the file at this path, which is another one now.
            std::mem::forget(self.writing.clone());
        }
    }
}

/// An absolute path never looks like the URLs that SQLite and Diesel would read in its place.
fn absolute(path: &Path) -> StoreResult<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| StoreError::new("open", StoreErrorKind::Access, error))
}

/// What SQLite calls this place.
fn address(location: &Location) -> StoreResult<&str> {
    match location {
        Location::Memory => Ok(":memory:"),
        Location::File(path) => path.to_str().ok_or_else(|| {
            let message = format!("the path {} is not UTF-8", path.display());
            StoreError::new("open", StoreErrorKind::Access, message)
        }),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether these locks prove anything; tells where they do not.
fn tried(locks: &LockFiles, database: &std::path::Path) -> bool {
    let are_kept = locks.are_kept();
    if !are_kept {
        let database = database.display();
        tracing::warn!(target: crate::telemetry::TARGET, %database, "this file system does not keep locks: no lock file is believed, and a worker that dies is found out when its lease is over; put the file on a local disk");
    }
    are_kept
}

impl Store for SqliteStore {
    /// One writer at a time is what SQLite takes.
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            writers: 1,
            readers: self.options.readers,
            parallel_writes: false,
            worker_locks: self.options.location != Location::Memory,
            own_clock: false,
            stores_nul: true,
            notifies: false,
            hears: self.readers.is_some(),
        }
    }

    fn database_now(&self) -> StoreResult<Option<Timestamp>> {
        Ok(None)
    }

    /// A database in memory has no other process.
    fn listener(&self) -> StoreResult<Option<Box<dyn Listener>>> {
        let (Some(readers), Location::File(file)) = (&self.readers, &self.options.location) else {
            return Ok(None);
        };
        let (writing, log) = (self.writing.clone(), log::path_of(file));
        let (ear, end) = Ear::open(writing, Arc::clone(readers), &log)?;
        lock(&self.ears).push(end);
        Ok(Some(Box::new(ear)))
    }

    fn end_listening(&self) {
        lock(&self.ears).clear();
    }

    fn writer(&self) -> StoreResult<Box<dyn Writer>> {
        let file = match &self.options.location {
            Location::File(path) => Some(path.as_path()),
            Location::Memory => None,
        };
        let log = Log::of(file, self.mover.clone(), self.options.wal_bytes_max);
        Ok(Box::new(SqliteWriter::new(
            self.writing.clone(),
            self.options.busy_timeout,
            self.company.clone(),
            (self.identity.clone(), log),
            (self.arrivals.clone(), Arc::clone(&self.beats)),
        )))
    }

    fn worker_locks(&self) -> Option<Box<dyn WorkerLocks>> {
        match &self.options.location {
            Location::Memory => None,
            Location::File(path) => {
                let locks = LockFiles::new(path, self.options.try_lock);
                let are_kept = *self.locks_are_kept.get_or_init(|| tried(&locks, path));
                are_kept.then(|| Box::new(locks) as _)
            }
        }
    }

    fn close(&self) {
        if let Some(mover) = &self.mover {
            mover.end();
        }
        if let Some(readers) = &self.readers {
            readers.close();
        }
    }

    fn newest_migration(&self) -> StoreResult<Option<String>> {
        self.read("newest_migration", schema::newest)
    }

    fn revert_migration(&self) -> StoreResult<Option<String>> {
        schema::revert(&mut self.writing.lock(), self.options.busy_timeout)
    }

    fn namesakes(&self, workflow: &str, key: &str, limit: u32) -> StoreResult<Vec<Namesake>> {
        self.read("namesakes", |conn| {
            naming::namesakes(conn, workflow, key, limit)
        })
    }

    fn child(
        &self,
        run: RunId,
        branch: &str,
        workflow: &str,
        key: &str,
    ) -> StoreResult<Option<RunId>> {
        self.read("child", |conn| {
            naming::child(conn, (run, branch), workflow, key)
        })
    }

    fn run(&self, run: RunId) -> StoreResult<Option<RunRow>> {
        self.read("run", |conn| runs::get(conn, run))
    }

    fn context(&self, run: RunId) -> StoreResult<Option<Json>> {
        self.read("context", |conn| runs::context(conn, run))
    }

    fn history(&self, run: RunId, result_bytes_max: u64) -> StoreResult<Vec<RecordRow>> {
        self.read("history", |conn| {
            records::history(conn, run, result_bytes_max)
        })
    }

    fn result(&self, run: RunId, record: RecordId) -> StoreResult<Option<Json>> {
        self.read("result", |conn| records::result(conn, run, record))
    }

    fn branches(&self, run: RunId, step_names: &[String]) -> StoreResult<Vec<BranchRow>> {
        self.read("branches", |conn| records::branches(conn, run, step_names))
    }

    fn outputs(&self, spawn: &SpawnPath, after: RunId, limit: u32) -> StoreResult<Vec<OutputRow>> {
        self.read("outputs", |conn| {
            results::outputs(conn, spawn, after, limit)
        })
    }

    fn completion_order(&self, spawn: &SpawnPath, limit: u64) -> StoreResult<Vec<RunId>> {
        results::completion_order(limit, |after, limit| {
            self.read("completion_order", |conn| {
                results::completions(conn, spawn, after, limit)
            })
        })
    }

    fn outputs_of(&self, runs: &[RunId]) -> StoreResult<Vec<OutputRow>> {
        self.read("outputs_of", |conn| results::outputs_of(conn, runs))
    }

    fn failures(
        &self,
        spawn: &SpawnPath,
        from: &FailurePlace,
        children: u32,
        limit: u32,
    ) -> StoreResult<FailurePage> {
        self.read("failures", |conn| {
            failures::page(conn, spawn, from, children, limit)
        })
    }

    fn existing_children(
        &self,
        run: RunId,
        branch: &str,
        keys: &[String],
    ) -> StoreResult<Vec<String>> {
        self.read("existing_children", |conn| {
            records::existing_children(conn, (run, branch), keys)
        })
    }

    fn blocked_children(&self, run: RunId, limit: u32) -> StoreResult<Vec<BlockedChild>> {
        self.read("blocked_children", |conn| {
            records::blocked_children(conn, run, limit)
        })
    }

    fn branch_states(&self, run: RunId, limit: u32) -> StoreResult<Vec<(RecordId, BranchState)>> {
        self.read("branch_states", |conn| audits::of_run(conn, run, limit))
    }

    fn branch_counters(&self, branch: RecordId) -> StoreResult<Option<BranchCounters>> {
        self.read("branch_counters", |conn| audits::counters(conn, branch))
    }

    fn count_children(
        &self,
        branch: RecordId,
        after: RunId,
        through: RunId,
        limit: u32,
    ) -> StoreResult<(ChildCount, RunId)> {
        self.read("count_children", |conn| {
            audits::count(conn, branch, (after, through), limit)
        })
    }

    fn audit_work(
        &self,
        after: RecordId,
        limit: u32,
        opened_by: Timestamp,
        now: Timestamp,
    ) -> StoreResult<AuditWork> {
        self.read("audit_work", |conn| {
            audits::work(conn, after, limit, (opened_by, now))
        })
    }

    fn blocked_descendants(&self, run: &RunRow, limit: u32) -> StoreResult<Vec<BlockedChild>> {
        records::blocked_descendants(run, limit, |after| {
            self.read("blocked_descendants", |conn| {
                records::blocked_below(conn, run, after)
            })
        })
    }

    fn standstill(
        &self,
        run: &RunRow,
        unserved: &[(String, String)],
        now: Timestamp,
    ) -> StoreResult<Option<Standstill>> {
        shared::standstill::standstill(self, run, unserved, now)
    }

    fn branches_of(&self, run: RunId) -> StoreResult<Vec<RecordId>> {
        self.read("branches_of", |conn| records::branches_of(conn, run))
    }

    fn pending(&self, run: RunId, limit: u32) -> StoreResult<Vec<PendingRow>> {
        self.read("pending", |conn| records::pending(conn, run, limit))
    }

    fn next_wake(&self, queues: &[String], workflows: &[String]) -> StoreResult<Option<Due>> {
        self.read("next_wake", |conn| {
            queue::next_wake(conn, queues, workflows)
        })
    }

    fn outlook(&self, queues: &[String], workflows: &[String]) -> StoreResult<Outlook> {
        self.read("outlook", |conn| queue::outlook(conn, queues, workflows))
    }

    fn live_workers(&self) -> StoreResult<Vec<WorkerRow>> {
        let workers = self.read("live_workers", worker::live)?;
        self.company.note(workers.len() > 1);
        Ok(workers)
    }

    fn serving(&self) -> StoreResult<Vec<ServingRow>> {
        self.read("serving", worker::serving)
    }

    fn unknown_due(
        &self,
        workflows: &[String],
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<String>> {
        self.read("unknown_due", |conn| {
            queue::unknown_due(conn, workflows, now, limit)
        })
    }

    fn awaited(&self, runs: &[RunId]) -> StoreResult<Vec<AwaitedRow>> {
        self.read("awaited", |conn| runs::awaited(conn, runs))
    }

    fn any_blocked(&self) -> StoreResult<bool> {
        self.read("any_blocked", runs::any_blocked)
    }

    fn applications(&self, workflows: &[String]) -> StoreResult<Vec<Belonging>> {
        self.read("applications", |conn| applications::of(conn, workflows))
    }

    fn unserved(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<UnservedRow>> {
        self.read("unserved", |conn| queue::unserved(conn, now, limit))
    }
}
