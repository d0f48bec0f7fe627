//! The writing side: each intent is one transaction on one session.

use std::sync::Arc;
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use jiff::Timestamp;

use super::commit::{Approach, Brief};
use super::connection::{PATIENCE, Purpose, Session, Source};
use super::servers::Servers;
use super::{
    applications, audits, claim, commit, notify, queue, recovery, servers, start, wake, worker,
};
use crate::record::{
    AuditClaim, AuditFinding, Belonging, Epoch, Plan, RecordId, Recount, RunId, WorkerId,
};
use crate::store::shared::arrivals::{Arrivals, Now};
use crate::store::shared::beats::Beats;
use crate::store::{
    Applied, AuditRequest, BlockedPage, BranchLook, Call, ClaimRequest, Claims, CrashLimits, Fate,
    Heartbeat, Recovered, RetriedPage, RunAnswer, RunAsks, RunCall, Start, Started, StoreError,
    StoreErrorKind, StoreResult, WorkerEntry, Writer,
};

/// How often a batch is begun anew because a row that it inserts has appeared meanwhile.
const COLLISIONS_MAX: u32 = 5;

/// For this part of the lease a branch may be locked to count its children; commits of these wait meanwhile.
const LOCKED_PART: u32 = 40;

/// One session that writes.
pub(super) struct PostgresWriter {
    session: Session,
    notifies: bool,
    is_pooled: bool,
    schema: String,
    lease: Duration,
    marks: Arc<claim::Marks>,
    arrivals: Arrivals,
    servers: Arc<Servers>,
    beats: Arc<Beats>,
}

impl PostgresWriter {
    /// A writer whose connection is open.
    pub(super) fn open(
        source: &Source,
        purpose: Purpose,
        (marks, arrivals, beats): (&Arc<claim::Marks>, &Arrivals, &Arc<Beats>),
    ) -> StoreResult<Self> {
        let mut session = source.session(purpose);
        session.connect()?;
        Ok(Self {
            session,
            notifies: source.hears(),
            is_pooled: source.options.pooler,
            schema: source.options.schema.clone(),
            lease: source.options.lease,
            marks: Arc::clone(marks),
            arrivals: arrivals.clone(),
            servers: Arc::clone(&source.servers),
            beats: Arc::clone(beats),
        })
    }

    /// The whole way, in a transaction. The pipeline keeps the batch and tries it again: it also serves what cannot wait
    /// meanwhile.
    fn apply_all(&mut self, plans: &[Plan], now: Now) -> StoreResult<Applied> {
        let mut approach = Approach::FIRST;
        let servers = Arc::clone(&self.servers);
        for _ in 0..COLLISIONS_MAX {
            let mut is_in_the_way = false;
            let applied = self
                .session
                .transaction("apply", Duration::ZERO, true, |conn| {
                    ahead(&servers)?;
                    let done = commit::apply(conn, plans, now, &mut approach);
                    is_in_the_way = done.as_ref().is_err_and(commit::is_worth_beginning_again);
                    done
                });
            if !is_in_the_way {
                return self.told("apply", applied);
            }
        }
        Err(StoreError::new(
            "apply",
            StoreErrorKind::Transient,
            "others insert the same children again and again",
        ))
    }

    /// Says why nothing was done where the worker has to enter anew first.
    fn told<T>(&self, operation: &'static str, done: StoreResult<T>) -> StoreResult<T> {
        done.map_err(|error| match self.servers.is_worker_over() {
            true => StoreError::new(
                operation,
                StoreErrorKind::Transient,
                "this process went over to another server; its worker enters anew there first",
            ),
            false => error,
        })
    }

    /// Behind a pooler in transaction mode a session is with whatever server the pooler is with.
    fn ask_pooler(&mut self) -> StoreResult<()> {
        if !self.is_pooled {
            return Ok(());
        }
        let found = self
            .session
            .single("heartbeat", PATIENCE, |conn| Ok(servers::ask(conn)))?;
        self.servers.admit(found?).map(drop)
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

/// What passes say rests on what they have seen, which the server that this process went over to may not have.
fn ahead(servers: &Servers) -> QueryResult<()> {
    match servers.is_worker_over() {
        true => Err(diesel::result::Error::BrokenTransactionManager),
        false => Ok(()),
    }
}

/// A worker that went over to another server holds nothing there.
fn start_here(
    servers: &Servers,
    conn: &mut PgConnection,
    starts: &[Start],
    now: Now,
) -> QueryResult<Vec<Started>> {
    if !servers.is_worker_over() {
        return start::start(conn, starts, now);
    }
    let unclaimed = starts.iter().cloned().map(|start| Start {
        claim: None,
        ..start
    });
    start::start(conn, &unclaimed.collect::<Vec<_>>(), now)
}

impl Writer for PostgresWriter {
    fn apply(&mut self, plans: &[Plan], now: Timestamp) -> StoreResult<Applied> {
        let now = self.arrived(now)?;
        let Some(brief) = Brief::of(plans) else {
            return self.apply_all(plans, now);
        };
        let servers = Arc::clone(&self.servers);
        let written = self.session.single("apply", Duration::ZERO, |conn| {
            ahead(&servers)?;
            brief.write(conn)
        });
        let written = self.told("apply", written)?;
        if written.len() < plans.len() {
            // The fence of one failed, which the other way tells from a plan that was written before. What is
            // written already is written again.
            return self.apply_all(plans, now);
        }
        Ok(commit::written(plans, &written))
    }

    fn held_up(&mut self, plans: &[Plan]) -> StoreResult<Option<Vec<bool>>> {
        let held_up = self
            .session
            .transaction("held_up", Duration::ZERO, true, |conn| {
                commit::held_up(conn, plans)
            })?;
        Ok(Some(held_up))
    }

    fn calls_held_up(&mut self, calls: &[RunCall]) -> StoreResult<Option<Vec<bool>>> {
        let held_up = self
            .session
            .transaction("held_up", Duration::ZERO, true, |conn| {
                recovery::held_up(conn, calls)
            })?;
        Ok(Some(held_up))
    }

    fn start(&mut self, starts: &[Start], now: Timestamp) -> StoreResult<Vec<Started>> {
        let now = self.arrived(now)?;
        let servers = Arc::clone(&self.servers);
        self.session.single("start", PATIENCE, |conn| {
            start_here(&servers, conn, starts, now)
        })
    }

    fn start_at_once(&mut self, starts: &[Start], now: Timestamp) -> StoreResult<Vec<Started>> {
        let now = self.arrived(now)?;
        let servers = Arc::clone(&self.servers);
        self.session
            .transaction_at_once("start", |conn| start_here(&servers, conn, starts, now))
    }

    fn claim_due(&mut self, request: &ClaimRequest<'_>) -> StoreResult<Claims> {
        let marks = Arc::clone(&self.marks);
        let instants_first = self.arrivals.turn();
        let servers = Arc::clone(&self.servers);
        let taken = self.session.single("claim_due", PATIENCE, |conn| {
            ahead(&servers)?;
            claim::claim_due(conn, request, instants_first, &marks)
        });
        let taken = self.told("claim_due", taken)?;
        taken.note(&marks);
        Ok(taken.claims)
    }

    fn call_runs(&mut self, calls: &[RunCall], now: Timestamp) -> StoreResult<Vec<RunAnswer>> {
        let now = self.arrived(now)?;
        let name = calls.first().map_or("wake", RunCall::name);
        match calls.first().map(|call| &call.asks) {
            Some(RunAsks::Retry(_) | RunAsks::Unlock) => {
                self.write_once(name, |conn| recovery::call_runs(conn, calls, now))
            }
            Some(RunAsks::ResetCrashes) => {
                self.write(name, |conn| recovery::call_runs(conn, calls, now))
            }
            _ => self.write(name, |conn| wake::wake_all(conn, calls, now)),
        }
    }

    fn retry_blocked(
        &mut self,
        page: &BlockedPage<'_>,
        now: Timestamp,
    ) -> StoreResult<RetriedPage> {
        let now = self.arrived(now)?;
        self.write_once("retry_blocked", |conn| {
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
        let most = self.lease / LOCKED_PART;
        self.write("recount_branch", |conn| {
            audits::recount(conn, branch, most, now)
        })
    }

    fn correct_branch(
        &mut self,
        branch: RecordId,
        look: &BranchLook,
        now: Timestamp,
    ) -> StoreResult<Option<Recount>> {
        let now = self.arrived(now)?;
        self.write("recount_branch", |conn| {
            audits::correct(conn, branch, look, now)
        })
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
        let servers = Arc::clone(&self.servers);
        let mut life = 0;
        let worker = self.session.single("register_worker", PATIENCE, |conn| {
            life = servers.life();
            worker::register(conn, entry, now)
        })?;
        self.servers.registered(life);
        self.beats.begin(worker);
        Ok(worker)
    }

    fn heartbeat(
        &mut self,
        worker: WorkerId,
        held: &[(RunId, Epoch)],
        now: Timestamp,
    ) -> StoreResult<Heartbeat> {
        self.ask_pooler()?;
        let beat = self.beats.next(worker);
        // First and by itself, so that nothing that the comparison waits for delays it.
        let is_alive = self.session.single("heartbeat", PATIENCE, |conn| {
            worker::renew(conn, (worker, beat), now)
        })?;
        if self.servers.is_worker_over() {
            return Ok(Heartbeat {
                worker_dead: true,
                fate: Fate::Moved,
                ..Heartbeat::default()
            });
        }
        if !is_alive {
            let fate = |conn: &mut PgConnection| worker::fate(conn, worker);
            return Ok(Heartbeat {
                worker_dead: true,
                fate: self.session.single("heartbeat", PATIENCE, fate)?,
                ..Heartbeat::default()
            });
        }
        self.beats.written(worker, beat);
        self.write("heartbeat", |conn| worker::compare(conn, worker, held))
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
        let now = self.arrived(now)?;
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
        let now = self.arrived(now)?;
        self.write("retire_worker", |conn| worker::retire(conn, worker, now))?;
        self.beats.end(worker);
        Ok(())
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
