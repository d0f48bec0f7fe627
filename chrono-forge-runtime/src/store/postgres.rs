//! PostgreSQL: one schema on a server, any number of processes on any number of hosts.
//!
//! Processes meet in rows only: claims skip what others have locked, the fence of every commit is checked under
//! its run's row lock, and whoever finds a worker's lease expired recovers its runs. Calls between processes
//! (`NOTIFY`) make that faster and are never needed.
//!
//! Every transaction that writes takes its locks in this order, so that no two of them wait for each other: the
//! worker's row, runs by id, branch rows by id, then new rows by their unique keys, then existing records by id.
//! Entries of a context are written under the lock of their run.
//! Who cannot keep to it skips locked rows, or begins again.

mod applications;
mod arrival;
mod audits;
mod bind;
mod claim;
mod clock;
mod commit;
mod connection;
mod doubts;
mod failures;
mod fault;
mod fitness;
mod held;
pub mod location;
mod naming;
mod notify;
mod queue;
mod records;
mod recovery;
mod results;
mod rooms;
mod runs;
mod schema;
mod sequences;
mod servers;
mod standstill;
mod start;
mod statement;
mod transfer;
mod wake;
mod worker;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use jiff::Timestamp;

use super::shared;
use super::shared::arrivals::Arrivals;
use super::shared::beats::Beats;
use super::shared::pool::Pool;
use super::{
    AuditWork, AwaitedRow, BranchLook, Capabilities, Listener, Outlook, ServingRow, Store,
    StoreResult, UnservedRow, WorkerLocks, WorkerRow, Writer,
};
use crate::error::{StoreError, StoreErrorKind};
use crate::record::{
    Belonging, BlockedChild, BranchCounters, BranchRow, BranchState, ChildCount, Due, FailurePage,
    FailurePlace, Json, Namesake, OutputRow, PendingRow, RecordId, RecordRow, RunId, RunRow,
    SpawnPath, Standstill,
};
pub use connection::{DatabasePool, Lender, LentConnection};
use connection::{Purpose, Session, Source};
pub use location::{PostgresOptions, UrlError, writers};
#[cfg(test)]
pub(super) use schema::upgrade;
use writer::PostgresWriter;

/// A schema on a server.
pub struct PostgresStore {
    source: Source,
    readers: Pool<Session>,
    marks: Arc<claim::Marks>,
    arrivals: Arrivals,
    beats: Arc<Beats>,
    /// The ends of the ears that were opened.
    ears: Mutex<Vec<notify::End>>,
}

impl PostgresStore {
    fn writer_for(&self, purpose: Purpose) -> StoreResult<Box<dyn Writer>> {
        let shared = (&self.marks, &self.arrivals, &self.beats);
        let writer = PostgresWriter::open(&self.source, purpose, shared)?;
        Ok(Box::new(writer))
    }

    /// Connects, and brings the schema up to date or verifies that it is.
    pub fn open(options: PostgresOptions) -> StoreResult<Self> {
        Self::over(options, None)
    }

    /// The same on connections that the application's pool lends: one for each writer and each
    /// reader, for as long as they work. To the options' URL only an ear is connected, if it names
    /// a server. A process that executes runs needs more of them.
    pub fn open_lent(options: PostgresOptions, lender: Lender) -> StoreResult<Self> {
        let (most, kept) = (lender.most(), options.connections(options.executes));
        let needed = kept.saturating_add(options.connections_for_locks());
        if most < needed {
            let message = format!(
                "the pool lends {most} connections at most, and this engine keeps {kept} of them, and takes \
                 {} more while somebody keeps a row locked: give it a `max_size` of {needed} and what the \
                 application itself needs, or ask for fewer (`.readers(..)`, `.writers(..)`)",
                needed - kept
            );
            return Err(StoreError::new("open", StoreErrorKind::Refused, message));
        }
        Self::over(options, Some(lender))
    }

    fn over(options: PostgresOptions, lender: Option<Lender>) -> StoreResult<Self> {
        let readers = Pool::new(options.readers);
        let source = Source {
            options: Arc::new(options),
            lender,
            servers: Arc::default(),
        };
        schema::ensure(&source)?;
        let store = Self {
            source,
            readers,
            marks: Arc::default(),
            arrivals: Arrivals::default(),
            beats: Arc::default(),
            ears: Mutex::default(),
        };
        doubts::tell(&store.read("open", doubts::find)?);
        // A pooler has sessions for all of its own.
        if store.source.lender.is_none() && !store.source.options.pooler {
            rooms::warn(
                &store.read("open", rooms::find)?,
                store.source.options.sessions(),
            );
        }
        sequences::mend(&store.source, &store.read("open", sequences::find)?)?;
        if let Some(latest) = store.read("open", queue::latest_arrival)? {
            store.arrivals.found(latest);
        }
        Ok(store)
    }

    fn read<T>(
        &self,
        operation: &'static str,
        read: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        let mut lent = self.readers.lend();
        let mut session = match lent.conn.take() {
            Some(session) => session,
            None => self.source.session(Purpose::Read),
        };
        let answer = session.read(operation, read);
        lent.conn = Some(session);
        answer
    }
}

impl Store for PostgresStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            writers: self.source.options.writers,
            readers: self.source.options.readers,
            parallel_writes: true,
            worker_locks: false,
            own_clock: true,
            stores_nul: false,
            notifies: self.source.hears(),
            hears: self.source.hears(),
        }
    }

    fn database_now(&self) -> StoreResult<Option<Timestamp>> {
        self.read("database_now", clock::now).map(Some)
    }

    fn listener(&self) -> StoreResult<Option<Box<dyn Listener>>> {
        if !self.capabilities().hears {
            return Ok(None);
        }
        let (ear, end) = notify::Ear::open(&self.source)?;
        self.ears
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(end);
        Ok(Some(Box::new(ear)))
    }

    fn writer(&self) -> StoreResult<Box<dyn Writer>> {
        self.writer_for(Purpose::Write)
    }

    fn batch_writer(&self) -> StoreResult<Box<dyn Writer>> {
        self.writer_for(Purpose::Batch)
    }

    fn heartbeat_writer(&self) -> StoreResult<Box<dyn Writer>> {
        self.writer_for(Purpose::Beat)
    }

    fn call_writer(&self) -> StoreResult<Box<dyn Writer>> {
        self.writer_for(Purpose::Call)
    }

    fn worker_locks(&self) -> Option<Box<dyn WorkerLocks>> {
        None
    }

    fn end_listening(&self) {
        let ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        ears.iter().for_each(notify::End::tell);
    }

    fn close(&self) {
        self.readers.close();
    }

    fn newest_migration(&self) -> StoreResult<Option<String>> {
        self.read("newest_migration", schema::newest)
    }

    fn revert_migration(&self) -> StoreResult<Option<String>> {
        schema::revert(&self.source)
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

    fn look_at_branch(&self, branch: RecordId) -> StoreResult<Option<BranchLook>> {
        self.read("look_at_branch", |conn| audits::look(conn, branch))
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
            queue::next_wake(conn, queues, workflows, &self.marks)
        })
    }

    fn outlook(&self, queues: &[String], workflows: &[String]) -> StoreResult<Outlook> {
        self.read("outlook", |conn| queue::outlook(conn, queues, workflows))
    }

    fn live_workers(&self) -> StoreResult<Vec<WorkerRow>> {
        self.read("live_workers", worker::live)
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
