//! The writing side: each intent is one transaction on one session.

use std::sync::Arc;
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use jiff::Timestamp;

use super::commit::{Approach, Brief};
use super::connection::{PATIENCE, Purpose, Session, Source};
use super::{audits, claim, commit, notify, recovery, start, wake, worker};
use crate::record::{AuditClaim, AuditFinding, Epoch, Plan, RecordId, Recount, RunId, WorkerId};
use crate::store::{
    Applied, AuditRequest, BlockedPage, Call, ClaimRequest, Claims, CrashLimits, Found, Heartbeat,
    Rearmed, Recovered, RetriedPage, Start, Started, StoreError, StoreErrorKind, StoreResult,
    Woken, WorkerEntry, Writer,
};

/// How often a batch is begun anew because a row that it inserts has appeared meanwhile.
const COLLISIONS_MAX: u32 = 5;

/// One session that writes.
pub(super) struct PostgresWriter {
    session: Session,
    notifies: bool,
    schema: String,
    marks: Arc<claim::Marks>,
}

impl PostgresWriter {
    /// A writer whose connection is open.
    pub(super) fn open(source: &Source, marks: &Arc<claim::Marks>) -> StoreResult<Self> {
        let mut session = source.session(Purpose::Write);
        session.connect()?;
        Ok(Self {
            session,
            notifies: source.hears(),
            schema: source.options.schema.clone(),
            marks: Arc::clone(marks),
        })
    }

    /// The whole way, in a transaction. The pipeline keeps the batch and tries it again: it also serves what cannot wait
    /// meanwhile.
    fn apply_all(&mut self, plans: &[Plan], now: Timestamp) -> StoreResult<Applied> {
        let mut approach = Approach::FIRST;
        for _ in 0..COLLISIONS_MAX {
            let mut is_in_the_way = false;
            let applied = self
                .session
                .transaction("apply", Duration::ZERO, true, |conn| {
                    let done = commit::apply(conn, plans, now, &mut approach);
                    is_in_the_way = done.as_ref().is_err_and(commit::is_worth_beginning_again);
                    done
                });
            if !is_in_the_way {
                return applied;
            }
        }
        Err(StoreError::new(
            "apply",
            StoreErrorKind::Transient,
            "others insert the same children again and again",
        ))
    }

    /// An intent that the same call again completes or finds done.
    pub(super) fn write<T>(
        &mut self,
        operation: &'static str,
        write: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        self.session.transaction(operation, PATIENCE, true, write)
    }

    /// An intent whose second call answers otherwise than its first.
    pub(super) fn write_once<T>(
        &mut self,
        operation: &'static str,
        write: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        self.session.transaction(operation, PATIENCE, false, write)
    }
}

impl Writer for PostgresWriter {
    fn apply(&mut self, plans: &[Plan], now: Timestamp) -> StoreResult<Applied> {
        let Some(brief) = Brief::of(plans) else {
            return self.apply_all(plans, now);
        };
        let written = self
            .session
            .single("apply", Duration::ZERO, |conn| brief.write(conn))?;
        if written.len() < plans.len() {
            // The fence of one failed, which the other way tells from a plan that was written before. What is
            // written already is written again.
            return self.apply_all(plans, now);
        }
        Ok(commit::written(plans, &written))
    }

    fn start(&mut self, starts: &[Start], now: Timestamp) -> StoreResult<Vec<Started>> {
        self.session
            .single("start", PATIENCE, |conn| start::start(conn, starts, now))
    }

    fn claim_due(&mut self, request: &ClaimRequest<'_>) -> StoreResult<Claims> {
        let marks = Arc::clone(&self.marks);
        let taken = self.session.single("claim_due", PATIENCE, |conn| {
            claim::claim_due(conn, request, &marks)
        })?;
        taken.note(&marks);
        Ok(taken.claims)
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
        self.write_once("retry", |conn| {
            recovery::retry(conn, (workflow, key), records, now)
        })
    }

    fn retry_blocked(
        &mut self,
        page: &BlockedPage<'_>,
        now: Timestamp,
    ) -> StoreResult<RetriedPage> {
        self.write_once("retry_blocked", |conn| {
            recovery::retry_blocked(conn, page, now)
        })
    }

    fn unlock(&mut self, workflow: &str, key: &str, now: Timestamp) -> StoreResult<Option<Found>> {
        self.write_once("unlock", |conn| {
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
        self.session.single("register_worker", PATIENCE, |conn| {
            worker::register(conn, entry, now)
        })
    }

    fn heartbeat(
        &mut self,
        worker: WorkerId,
        held: &[(RunId, Epoch)],
        now: Timestamp,
    ) -> StoreResult<Heartbeat> {
        // First and by itself, so that nothing that the comparison waits for delays it.
        let is_alive = self.session.single("heartbeat", PATIENCE, |conn| {
            worker::renew(conn, worker, now)
        })?;
        if !is_alive {
            return Ok(Heartbeat {
                worker_dead: true,
                ..Heartbeat::default()
            });
        }
        self.write("heartbeat", |conn| worker::compare(conn, worker, held))
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
        self.session.single("release_orphans", PATIENCE, |conn| {
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
        self.session.single("note_suspects", PATIENCE, |conn| {
            worker::trouble::note_suspects(conn, worker, suspects)
        })
    }

    fn came_back(&mut self, held: &[(RunId, Epoch)]) -> StoreResult<()> {
        self.session.single("came_back", PATIENCE, |conn| {
            worker::trouble::came_back(conn, held)
        })
    }

    fn quarantine(&mut self, run: RunId, crashes: u32) -> StoreResult<()> {
        self.session.single("quarantine", PATIENCE, |conn| {
            worker::trouble::quarantine(conn, run, crashes)
        })
    }

    fn note_stuck(&mut self, worker: WorkerId, stuck: Option<&str>) -> StoreResult<()> {
        self.session.single("note_stuck", PATIENCE, |conn| {
            worker::trouble::note_stuck(conn, worker, stuck)
        })
    }

    fn retire_worker(&mut self, worker: WorkerId, now: Timestamp) -> StoreResult<()> {
        self.write("retire_worker", |conn| worker::retire(conn, worker, now))
    }

    fn notify(&mut self, calls: &[Call]) -> StoreResult<()> {
        if !self.notifies || calls.is_empty() {
            return Ok(());
        }
        let schema = &self.schema;
        self.session
            .single("notify", PATIENCE, |conn| notify::call(conn, schema, calls))
    }
}
