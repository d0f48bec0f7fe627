//! The writing side: each intent is one transaction on the one connection that writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::prelude::*;
use jiff::Timestamp;

use super::turns::{Company, Turns};
use super::{audits, claim, commit, connection, fault, recovery, start, wake, worker};
use crate::record::{AuditClaim, AuditFinding, Epoch, Plan, RecordId, Recount, RunId, WorkerId};
use crate::store::{
    Applied, AuditRequest, BlockedPage, Call, ClaimRequest, Claims, CrashLimits, Found, Heartbeat,
    Rearmed, Recovered, RetriedPage, Start, Started, StoreResult, Woken, WorkerEntry, Writer,
};

/// A connection that several hold, one at a time.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<SqliteConnection>>);

impl Shared {
    pub(super) fn new(conn: SqliteConnection) -> Self {
        Self(Arc::new(Mutex::new(conn)))
    }

    /// A panic elsewhere has rolled its transaction back: the connection is good to go on with.
    pub(super) fn lock(&self) -> MutexGuard<'_, SqliteConnection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
}

impl SqliteWriter {
    pub(super) fn new(conn: Shared, patience: Duration, company: Company) -> Self {
        Self {
            conn,
            patience,
            turns: Turns::new(company),
        }
    }

    pub(super) fn write<T>(
        &mut self,
        operation: &'static str,
        write: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        self.turns.await_turn();
        let done = connection::immediate(&mut self.conn.lock(), self.patience, write);
        self.turns.note_commit();
        done.map_err(|error| fault::statement(operation, &error))
    }
}

impl Writer for SqliteWriter {
    fn apply(&mut self, plans: &[Plan], now: Timestamp) -> StoreResult<Applied> {
        self.turns.await_turn();
        let done = commit::apply(&mut self.conn.lock(), self.patience, plans, now);
        self.turns.note_commit();
        done.map_err(|error| fault::statement("apply", &error))
    }

    fn start(&mut self, starts: &[Start], now: Timestamp) -> StoreResult<Vec<Started>> {
        self.write("start", |conn| start::start(conn, starts, now))
    }

    fn claim_due(&mut self, request: &ClaimRequest<'_>) -> StoreResult<Claims> {
        self.write("claim_due", |conn| claim::claim_due(conn, request))
    }

    fn wake(&mut self, workflow: &str, key: &str, now: Timestamp) -> StoreResult<Option<Woken>> {
        self.write("wake", |conn| wake::wake(conn, workflow, key, now))
    }

    fn retry(
        &mut self,
        workflow: &str,
        key: &str,
        records: Option<&[String]>,
        now: Timestamp,
    ) -> StoreResult<Option<Rearmed>> {
        self.write("retry", |conn| {
            recovery::retry(conn, (workflow, key), records, now)
        })
    }

    fn retry_blocked(
        &mut self,
        page: &BlockedPage<'_>,
        now: Timestamp,
    ) -> StoreResult<RetriedPage> {
        self.write("retry_blocked", |conn| {
            recovery::retry_blocked(conn, page, now)
        })
    }

    fn unlock(&mut self, workflow: &str, key: &str, now: Timestamp) -> StoreResult<Option<Found>> {
        self.write("unlock", |conn| {
            recovery::unlock(conn, (workflow, key), now)
        })
    }

    fn reset_crashes(
        &mut self,
        workflow: &str,
        key: &str,
        now: Timestamp,
    ) -> StoreResult<Option<Found>> {
        self.write("reset_crashes", |conn| {
            recovery::reset_crashes(conn, (workflow, key), now)
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
        self.write("recount_branch", |conn| audits::recount(conn, branch, now))
    }

    fn record_audits(
        &mut self,
        findings: &[AuditFinding],
        now: Timestamp,
    ) -> StoreResult<Vec<RunId>> {
        self.write("record_audits", |conn| audits::record(conn, findings, now))
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
        Ok(worker)
    }

    fn heartbeat(
        &mut self,
        worker: WorkerId,
        held: &[(RunId, Epoch)],
        now: Timestamp,
    ) -> StoreResult<Heartbeat> {
        let (answer, others) = self.write("heartbeat", |conn| {
            let answer = worker::heartbeat(conn, worker, held, now)?;
            Ok((answer, worker::others_live(conn, worker)?))
        })?;
        self.turns.share(others);
        Ok(answer)
    }

    fn release_orphans(
        &mut self,
        worker: WorkerId,
        orphans: &[(RunId, Epoch)],
        now: Timestamp,
    ) -> StoreResult<u64> {
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
        self.write("retire_worker", |conn| worker::retire(conn, worker, now))
    }

    /// Another process looks at the file's version; nothing need be told.
    fn notify(&mut self, _calls: &[Call]) -> StoreResult<()> {
        Ok(())
    }
}
