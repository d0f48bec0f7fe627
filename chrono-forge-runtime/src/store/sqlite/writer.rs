//! The writing side: each intent is one transaction on the one connection that writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::prelude::*;
use jiff::Timestamp;

use super::identity::Identity;
use super::log::Log;
use super::turns::{Company, Turns};
use super::{applications, audits, claim, commit, connection, queue, recovery, start, worker};
use crate::record::{
    AuditClaim, AuditFinding, Belonging, Epoch, Plan, RecordId, Recount, RunId, WorkerId,
};
use crate::store::shared::arrivals::{Arrivals, Now};
use crate::store::shared::beats::Beats;
use crate::store::{
    Applied, AuditRequest, BlockedPage, Call, ClaimRequest, Claims, CrashLimits, Heartbeat,
    Recovered, RetriedPage, RunAnswer, RunCall, Start, Started, StoreResult, WorkerEntry, Writer,
};

/// A connection that several hold, one at a time, and how often it has committed.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<SqliteConnection>>, Arc<AtomicU64>);

impl Shared {
    pub(super) fn new(conn: SqliteConnection) -> Self {
        Self(Arc::new(Mutex::new(conn)), Arc::default())
    }

    /// A panic elsewhere has rolled its transaction back: the connection is good to go on with.
    pub(super) fn lock(&self) -> MutexGuard<'_, SqliteConnection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_commit(&self) {
        self.1.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether it is at work, or has committed since so many commits, which are brought up to date.
    pub(super) fn has_written_since(&self, commits: &mut u64) -> bool {
        let now = self.1.load(Ordering::Acquire);
        let is_own = std::mem::replace(commits, now) != now;
        is_own || self.try_lock().is_none()
    }

    /// The connection, unless it is at work.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, SqliteConnection>> {
        self.0.try_lock().ok()
    }
}

/// The commit pipeline's connection.
pub(super) struct SqliteWriter {
    conn: Shared,
    patience: Duration,
    turns: Turns,
    identity: Identity,
    pub(super) arrivals: Arrivals,
    beats: Arc<Beats>,
    log: Log,
    starts: start::Expected,
}

impl SqliteWriter {
    pub(super) fn new(
        conn: Shared,
        patience: Duration,
        company: Company,
        (identity, log): (Identity, Log),
        (arrivals, beats): (Arrivals, Arc<Beats>),
    ) -> Self {
        Self {
            conn,
            patience,
            turns: Turns::new(company),
            identity,
            log,
            arrivals,
            beats,
            starts: start::Expected::default(),
        }
    }

    pub(super) fn write<T>(
        &mut self,
        operation: &'static str,
        write: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        let written = self.transact(operation, write)?;
        self.log.wrote(&mut self.conn.lock());
        Ok(written)
    }

    /// As [`SqliteWriter::write`], without a word to the log.
    fn transact<T>(
        &mut self,
        operation: &'static str,
        write: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        self.await_turn();
        let mut conn = self.conn.lock();
        let done = connection::immediate(&mut conn, self.patience, write);
        self.turns.note_commit();
        self.conn.note_commit();
        self.identity.verified(operation, &mut conn, done)
    }
}

impl SqliteWriter {
    /// Waits for others to have their chance, and for a log that grows as fast as it is moved.
    fn await_turn(&self) {
        self.turns.await_turn();
        let pause = self.log.pause();
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }

    /// What this write makes due at once arrives now.
    fn arrived(&mut self, now: Timestamp) -> StoreResult<Now> {
        if self.arrivals.has_leapt(now)
            && let Some(latest) = self.write("arrivals", queue::latest_arrival)?
        {
            self.arrivals.found(latest);
        }
        Ok(self.arrivals.at(now))
    }
}

impl Writer for SqliteWriter {
    fn apply(&mut self, plans: &[Plan], now: Timestamp) -> StoreResult<Applied> {
        let now = self.arrived(now)?;
        self.await_turn();
        let mut conn = self.conn.lock();
        let done = commit::apply(&mut conn, self.patience, plans, now);
        self.turns.note_commit();
        self.conn.note_commit();
        // The log goes into no file that was not looked at.
        if !self.log.is_due() {
            self.log.note();
            return self
                .identity
                .verified_now_and_then("apply", &mut conn, done);
        }
        let applied = self.identity.verified("apply", &mut conn, done)?;
        self.log.wrote(&mut conn);
        Ok(applied)
    }

    fn start(&mut self, starts: &[Start], now: Timestamp) -> StoreResult<Vec<Started>> {
        let now = self.arrived(now)?;
        self.await_turn();
        let mut conn = self.conn.lock();
        let done = start::start(&mut conn, self.patience, &mut self.starts, starts, now);
        self.turns.note_commit();
        self.conn.note_commit();
        let started = self.identity.verified("start", &mut conn, done)?;
        self.log.wrote(&mut conn);
        Ok(started)
    }

    fn claim_due(&mut self, request: &ClaimRequest<'_>) -> StoreResult<Claims> {
        let instants_first = self.arrivals.turn();
        self.write("claim_due", |conn| {
            claim::claim_due(conn, request, instants_first)
        })
    }

    fn call_runs(&mut self, calls: &[RunCall], now: Timestamp) -> StoreResult<Vec<RunAnswer>> {
        let now = self.arrived(now)?;
        let name = calls.first().map_or("wake", RunCall::name);
        self.write(name, |conn| {
            let answers = calls.iter().map(|call| recovery::call_run(conn, call, now));
            answers.collect()
        })
    }

    fn retry_blocked(
        &mut self,
        page: &BlockedPage<'_>,
        now: Timestamp,
    ) -> StoreResult<RetriedPage> {
        let now = self.arrived(now)?;
        self.write("retry_blocked", |conn| {
            recovery::retry_blocked(conn, page, now)
        })
    }

    fn enter_audits(
        &mut self,
        branches: &[RecordId],
        due_at: Timestamp,
        now: Timestamp,
    ) -> StoreResult<()> {
        self.write("enter_audits", |conn| {
            audits::enter(conn, branches, due_at, now)
        })
    }

    fn claim_audits(
        &mut self,
        request: &AuditRequest<'_>,
        now: Timestamp,
    ) -> StoreResult<Vec<AuditClaim>> {
        self.write("claim_audits", |conn| audits::claim(conn, request, now))
    }

    fn recount_branch(&mut self, branch: RecordId, now: Timestamp) -> StoreResult<Option<Recount>> {
        let now = self.arrived(now)?;
        self.write("recount_branch", |conn| audits::recount(conn, branch, now))
    }

    fn record_audits(
        &mut self,
        findings: &[AuditFinding],
        now: Timestamp,
    ) -> StoreResult<Vec<RunId>> {
        let now = self.arrived(now)?;
        self.write("record_audits", |conn| audits::record(conn, findings, now))
    }

    fn enter_workflows(
        &mut self,
        workflows: &[Belonging],
        now: Timestamp,
    ) -> StoreResult<Vec<Belonging>> {
        self.write("enter_workflows", |conn| {
            applications::enter(conn, workflows, now)
        })
    }

    fn register_worker(
        &mut self,
        entry: &WorkerEntry<'_>,
        now: Timestamp,
    ) -> StoreResult<WorkerId> {
        let (worker, others) = self.write("register_worker", |conn| {
            let worker = worker::register(conn, entry, now)?;
            Ok((worker, worker::others_live(conn, worker)?))
        })?;
        self.turns.share(others);
        self.beats.begin(worker);
        Ok(worker)
    }

    fn heartbeat(
        &mut self,
        worker: WorkerId,
        held: &[(RunId, Epoch)],
        now: Timestamp,
    ) -> StoreResult<Heartbeat> {
        let beat = self.beats.next(worker);
        let (answer, others) = self.transact("heartbeat", |conn| {
            let answer = worker::heartbeat(conn, (worker, beat), held, now)?;
            Ok((answer, worker::others_live(conn, worker)?))
        })?;
        self.log.beat(&mut self.conn.lock());
        if !answer.worker_dead {
            self.beats.written(worker, beat);
        }
        self.turns.share(others);
        Ok(answer)
    }

    fn release_orphans(
        &mut self,
        worker: WorkerId,
        orphans: &[(RunId, Epoch)],
        now: Timestamp,
    ) -> StoreResult<u64> {
        let now = self.arrived(now)?;
        if orphans.is_empty() {
            return Ok(0);
        }
        self.write("release_orphans", |conn| {
            worker::release_orphans(conn, worker, orphans, now)
        })
    }

    fn declare_dead(
        &mut self,
        worker: WorkerId,
        watched: Option<Timestamp>,
        limits: CrashLimits,
        now: Timestamp,
    ) -> StoreResult<Option<Recovered>> {
        let now = self.arrived(now)?;
        self.write("declare_dead", |conn| {
            worker::declare_dead(conn, worker, watched, limits, now)
        })
    }

    fn note_suspects(&mut self, worker: WorkerId, suspects: &[(RunId, Epoch)]) -> StoreResult<()> {
        self.write("note_suspects", |conn| {
            worker::trouble::note_suspects(conn, worker, suspects)
        })
    }

    fn came_back(&mut self, held: &[(RunId, Epoch)]) -> StoreResult<()> {
        self.write("came_back", |conn| worker::trouble::came_back(conn, held))
    }

    fn quarantine(&mut self, run: RunId, crashes: u32) -> StoreResult<()> {
        self.write("quarantine", |conn| {
            worker::trouble::quarantine(conn, run, crashes)
        })
    }

    fn note_stuck(&mut self, worker: WorkerId, stuck: Option<&str>) -> StoreResult<()> {
        self.write("note_stuck", |conn| {
            worker::trouble::note_stuck(conn, worker, stuck)
        })
    }

    fn retire_worker(&mut self, worker: WorkerId, now: Timestamp) -> StoreResult<()> {
        let now = self.arrived(now)?;
        self.write("retire_worker", |conn| worker::retire(conn, worker, now))?;
        self.log.leave(&self.conn);
        self.beats.end(worker);
        Ok(())
    }

    /// Another process looks at the file's version; nothing need be told.
    fn notify(&mut self, _calls: &[Call]) -> StoreResult<()> {
        Ok(())
    }
}
