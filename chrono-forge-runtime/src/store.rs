//! The store: what the engine may ask of a database, one method per intent.
//!
//! The traits are the specification. Each method says what is atomic, what fences it and what a
//! second call does; the implementations under `store/` are the only rooms with SQL. All methods
//! block: the engine calls each [`Writer`] from a commit thread of its own and the reads of a
//! [`Store`] from blocking threads.
//!
//! Instants come in as arguments: a store that has a clock of its own (PostgreSQL) corrects for
//! it, SQLite lives on the host's. "Due at once" is no instant, and needs no clock: see [`Due`]. Who became so
//! before others goes before them, whatever the clock said meanwhile.

pub(crate) mod address;
mod answer;
pub mod caller;
#[cfg(test)]
pub(crate) mod conformance;
pub mod opening;
#[cfg(feature = "postgres")]
pub mod postgres;
mod request;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod shared;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod transfer;

use std::time::Duration;

use jiff::Timestamp;

use crate::record::{
    AuditClaim, AuditFinding, Belonging, BlockedChild, BranchCounters, BranchRow, BranchState,
    ChildCount, Due, Epoch, FailurePage, FailurePlace, Json, Namesake, OutputRow, PendingRow, Plan,
    RecordId, RecordRow, Recount, RunId, RunRow, SpawnPath, Standstill, WorkerId,
};

pub use crate::error::{StoreError, StoreErrorKind};
pub use answer::*;
pub use request::*;

/// The result of every store call.
pub type StoreResult<T> = Result<T, StoreError>;

/// A database that holds runs.
pub trait Store: transfer::Exports + Send + Sync + 'static {
    /// What this database can do beyond what every database can.
    fn capabilities(&self) -> Capabilities;

    /// Opens a connection that writes. With [`Capabilities::parallel_writes`] several of them are at work at
    /// the same time, each with a session of its own.
    fn writer(&self) -> StoreResult<Box<dyn Writer>>;

    /// As [`Store::writer`], for batches of plans: it waits for somebody else's lock only so long that the other plans
    /// of a batch can wait, too. What it gives up is tried again by a writer that has more time.
    fn batch_writer(&self) -> StoreResult<Box<dyn Writer>> {
        self.writer()
    }

    /// As [`Store::writer`], for heartbeats alone.
    fn heartbeat_writer(&self) -> StoreResult<Box<dyn Writer>> {
        self.writer()
    }

    /// As [`Store::writer`], for calls behind which others wait: it waits for somebody else's lock
    /// as briefly as a batch does, and tries no second time.
    fn call_writer(&self) -> StoreResult<Box<dyn Writer>> {
        self.writer()
    }

    /// The database's clock, if it has one of its own; `None` where the host's is meant.
    fn database_now(&self) -> StoreResult<Option<Timestamp>>;

    /// Opens an ear for what other processes tell with [`Writer::notify`], or simply do. `None`
    /// when nothing is heard of them on this database (or on the way to it): then everybody polls,
    /// and nothing is lost but time.
    fn listener(&self) -> StoreResult<Option<Box<dyn Listener>>>;

    /// Ends every wait at an ear of this store, now and from now on: the engine is over.
    fn end_listening(&self) {}

    /// The lock files, if this store proves the death of a worker faster than its lease does. `None`, too, where
    /// the file system grants every lock: they would prove the death of the living.
    fn worker_locks(&self) -> Option<Box<dyn WorkerLocks>>;

    /// The version of the newest migration that this database has.
    fn newest_migration(&self) -> StoreResult<Option<String>>;

    /// Undoes the newest migration and everything it holds; answers its version, or `None` when
    /// there is none left.
    fn revert_migration(&self) -> StoreResult<Option<String>>;

    /// The engine is shut down: gives up connections that wait for their next look, of which a server may have few.
    /// Whoever looks all the same is answered, over a connection that is given up after it.
    fn close(&self);

    /// The runs of this workflow with this key, in the order of their ids: at most `limit`. A
    /// top-level run and children of different runs may share both.
    fn namesakes(&self, workflow: &str, key: &str, limit: u32) -> StoreResult<Vec<Namesake>>;

    /// The child of this workflow with this key that a branch (`branch$n`) of this run has.
    fn child(
        &self,
        run: RunId,
        branch: &str,
        workflow: &str,
        key: &str,
    ) -> StoreResult<Option<RunId>>;

    /// The run with this id.
    fn run(&self, run: RunId) -> StoreResult<Option<RunRow>>;

    /// The context of a run as last written, a JSON object. `None` when there is no such run.
    fn context(&self, run: RunId) -> StoreResult<Option<Json>>;

    /// Records of a run, in any order: whoever replays asks for them by name.
    /// Results over `result_bytes_max` are left out (their length is told) and read when they are
    /// delivered. Repetition rows (`repeat$k$..`) are never loaded.
    fn history(&self, run: RunId, result_bytes_max: u64) -> StoreResult<Vec<RecordRow>>;

    /// The stored value of one record of this run.
    fn result(&self, run: RunId, record: RecordId) -> StoreResult<Option<Json>>;

    /// The branch rows of these step names.
    fn branches(&self, run: RunId, step_names: &[String]) -> StoreResult<Vec<BranchRow>>;

    /// Outputs of the completed children of a spawn, in order of dispatch: at most `limit` of them
    /// after the run `after`, fewer once they are about 4 MiB, none only when there are none.
    fn outputs(&self, spawn: &SpawnPath, after: RunId, limit: u32) -> StoreResult<Vec<OutputRow>>;

    /// The completed children of a spawn, at most the first `limit` dispatched, in the order in which
    /// they completed, then in order of dispatch. Read in pages, each a transaction of its own: nothing
    /// that it reads changes any more once the branch is merged.
    fn completion_order(&self, spawn: &SpawnPath, limit: u64) -> StoreResult<Vec<RunId>>;

    /// Outputs of these completed runs, in their order: the first of them up to one that is not
    /// completed, fewer once they are about 4 MiB.
    fn outputs_of(&self, runs: &[RunId]) -> StoreResult<Vec<OutputRow>>;

    /// Failed attempts of the completed children of a spawn from this place on, by child in order of
    /// dispatch, then by step (the body's first) and attempt. Looks at no more than `children` children
    /// and answers no more than `limit` failures, fewer once they are about 4 MiB. Costs what it looks
    /// at and what it answers.
    fn failures(
        &self,
        spawn: &SpawnPath,
        from: &FailurePlace,
        children: u32,
        limit: u32,
    ) -> StoreResult<FailurePage>;

    /// Those of these keys that are children of a branch already, of whatever workflow. Costs a
    /// look-up per key, however many children there are.
    fn existing_children(
        &self,
        run: RunId,
        branch: &str,
        keys: &[String],
    ) -> StoreResult<Vec<String>>;

    /// When the first of these workflows' idle runs becomes due, one index look-up per queue, level and
    /// workflow.
    fn next_wake(&self, queues: &[String], workflows: &[String]) -> StoreResult<Option<Due>>;

    /// What these workflows' runs in these queues are at, of one commit. Costs what [`Store::next_wake`] does, and
    /// a look-up for each run that was claimed since the last heartbeats.
    fn outlook(&self, queues: &[String], workflows: &[String]) -> StoreResult<Outlook>;

    /// Failed, stalled and canceled children of all branches of a run, by branch and in order of
    /// dispatch: at most `limit`. Costs what it answers, however many children there are and however
    /// many other runs are blocked.
    fn blocked_children(&self, run: RunId, limit: u32) -> StoreResult<Vec<BlockedChild>>;

    /// The branches of a run, by name, with what the auditor last found: at most `limit`. Counts blocked
    /// children and no others.
    fn branch_states(&self, run: RunId, limit: u32) -> StoreResult<Vec<(RecordId, BranchState)>>;

    /// The counters of a branch and its newest child, of one commit. `None` when it has no row.
    fn branch_counters(&self, branch: RecordId) -> StoreResult<Option<BranchCounters>>;

    /// Counts children of a branch after the run `after` up to `through`, in order of dispatch: `limit`
    /// of them, of one commit. Answers the last one counted, or `through` when there was none left.
    fn count_children(
        &self,
        branch: RecordId,
        after: RunId,
        through: RunId,
        limit: u32,
    ) -> StoreResult<(ChildCount, RunId)>;

    /// Counts the children of a branch with its counters, all of one snapshot, while others go on;
    /// for branches that a writer cannot recount in time. `None` when the branch has no row, or no
    /// branch is too large.
    fn look_at_branch(&self, branch: RecordId) -> StoreResult<Option<BranchLook>> {
        let _ = branch;
        Ok(None)
    }

    /// What there is to audit. Looks at `limit` branches with unfinished children after the record
    /// `after`; those that nobody audits yet are new if they were opened at `opened_by` or earlier,
    /// or by a clock that was set back since: after `now`.
    fn audit_work(
        &self,
        after: RecordId,
        limit: u32,
        opened_by: Timestamp,
        now: Timestamp,
    ) -> StoreResult<AuditWork>;

    /// Failed, stalled and canceled runs anywhere below a run, in the order in which they were created: at
    /// most `limit`. Costs a look-up for each blocked run that is younger than this one until there are
    /// enough, and the way up for each that it answers. Read in pages, each a transaction of its own.
    fn blocked_descendants(&self, run: &RunRow, limit: u32) -> StoreResult<Vec<BlockedChild>>;

    /// What a run stands still at, if it does: it is parked at joins alone, and each of them waits for a branch
    /// below which, at any depth, a run is blocked, or is due and of one of these workflows in one of these queues,
    /// which the caller knows nobody to serve. Whoever waits for an instant, polls, waits to try again or is parked
    /// at a gate does not stand still, nor does whoever waits for it alone.
    ///
    /// Costs as [`Store::blocked_descendants`] does, the same for each due run that nobody serves, and nothing for
    /// other children. Bounded: what is behind 100,000 of the one or the other may be left out. Read in several
    /// transactions, and true at one instant between the first and the last.
    fn standstill(
        &self,
        run: &RunRow,
        unserved: &[(String, String)],
        now: Timestamp,
    ) -> StoreResult<Option<Standstill>>;

    /// The rows of all branches of a run.
    fn branches_of(&self, run: RunId) -> StoreResult<Vec<RecordId>>;

    /// Pending records of a run, by name: at most `limit`; before them the body (named
    /// [`BODY`](crate::record::BODY)), if it has failed and runs again, or has failed for good.
    fn pending(&self, run: RunId, limit: u32) -> StoreResult<Vec<PendingRow>>;

    /// Workers that have not stopped, with their last heartbeat.
    fn live_workers(&self) -> StoreResult<Vec<WorkerRow>>;

    /// What the workers that have not stopped execute, as they said when they were registered.
    fn serving(&self) -> StoreResult<Vec<ServingRow>>;

    /// Names of workflows, other than these, that have due runs. Costs a look-up for each name that has
    /// runs in the queue, however many those are. Bounded by `limit`.
    fn unknown_due(
        &self,
        workflows: &[String],
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<String>>;

    /// How these runs are, without their payloads; those that are gone are left out.
    fn awaited(&self, runs: &[RunId]) -> StoreResult<Vec<AwaitedRow>>;

    /// Whether there is any run that is failed, stalled or canceled.
    fn any_blocked(&self) -> StoreResult<bool>;

    /// Whose these names of workflows are; those that are nobody's yet are left out.
    fn applications(&self, workflows: &[String]) -> StoreResult<Vec<Belonging>>;

    /// Workflows that have due runs (in these queues' ranges) which no live worker serves: its name, or its
    /// queue, is in no worker's entry. Costs as [`Store::unknown_due`] does. Bounded by `limit`.
    fn unserved(&self, now: Timestamp, limit: u32) -> StoreResult<Vec<UnservedRow>>;
}

/// The one connection that writes. Each method is one transaction unless it says otherwise, durable
/// when it returns.
pub trait Writer: transfer::Imports + Send {
    /// Applies a batch in one transaction and answers one outcome per plan, in order. A plan whose
    /// fence fails is left out whole; any other failure rolls back the batch. The caller has folded
    /// the batch: at most one plan per run.
    ///
    /// A plan with an `end` that was written before changes nothing. A store whose replies can be lost answers
    /// that it is applied, since its run stands unlocked under the plan's own epoch; others may call it fenced.
    ///
    /// In the same transaction: completed children subtract from their branch's `pending` (only
    /// those that moved from running under their epoch), and a sealed branch that reaches zero
    /// wakes its parent; failed and stalled runs enter `chrono_forge_blocked`, others leave it.
    fn apply(&mut self, plans: &[Plan], now: Timestamp) -> StoreResult<Applied>;

    /// Which of these calls are of runs that somebody else has locked just now; as
    /// [`Writer::held_up`].
    fn calls_held_up(&mut self, calls: &[RunCall]) -> StoreResult<Option<Vec<bool>>> {
        let _ = calls;
        Ok(None)
    }

    /// Which of these plans need a row that somebody else has locked just now. Waits for nobody and keeps no lock, so
    /// it tells of a moment. `None` where rows are not locked one by one.
    fn held_up(&mut self, plans: &[Plan]) -> StoreResult<Option<Vec<bool>>> {
        let _ = plans;
        Ok(None)
    }

    /// Inserts top-level runs, or finds them: one answer per start, in order. A top-level run that
    /// exists is left as it is. `claim` inserts the new row already claimed by that worker.
    fn start(&mut self, starts: &[Start], now: Timestamp) -> StoreResult<Vec<Started>>;

    /// The same without waiting for a lock: if an open transaction elsewhere has inserted one of
    /// these keys, nothing is started, and the error is that of a lock. A store that does not lock
    /// keys one by one does what [`Writer::start`] does.
    fn start_at_once(&mut self, starts: &[Start], now: Timestamp) -> StoreResult<Vec<Started>> {
        self.start(starts, now)
    }

    /// Takes due runs for a live worker: `state = running`, the next epoch, `wake_requested` cleared,
    /// `started_at` set if null, one claims row for the batch. Visits levels in the order asked
    /// for and, in a level, the workflows in the order given. Answers nothing for a worker that
    /// was declared dead.
    fn claim_due(&mut self, request: &ClaimRequest<'_>) -> StoreResult<Claims>;

    /// Does what is asked of these runs in one transaction; all calls have one name. One answer per call, in order: that
    /// which the call would have had alone, after those before it.
    fn call_runs(&mut self, calls: &[RunCall], now: Timestamp) -> StoreResult<Vec<RunAnswer>>;

    /// Re-arms, as [`RunAsks::Retry`] does without names, the runs of one page of
    /// `chrono_forge_blocked` that the filter covers. The page is bounded whatever it covers.
    fn retry_blocked(&mut self, page: &BlockedPage<'_>, now: Timestamp)
    -> StoreResult<RetriedPage>;

    /// Has these branches audited from `due_at` on, with their counters of now as the sample that rates
    /// are measured from. Those that are audited already are left alone.
    fn enter_audits(
        &mut self,
        branches: &[RecordId],
        due_at: Timestamp,
        now: Timestamp,
    ) -> StoreResult<()>;

    /// Takes audits: raises their round, so that nobody else takes them before `lease_until`, and who
    /// took an earlier round and is late writes nothing.
    fn claim_audits(
        &mut self,
        request: &AuditRequest<'_>,
        now: Timestamp,
    ) -> StoreResult<Vec<AuditClaim>>;

    /// Counts the children of a branch while nothing else can be written, and sets its counter
    /// right if it is wrong; a sealed branch that is joined by that wakes its parent as its last
    /// child does. Changes nothing when called again. `None` when the branch has no row;
    /// [`StoreErrorKind::Slow`] where it has too many children for others to wait that long: see
    /// [`Store::look_at_branch`].
    fn recount_branch(&mut self, branch: RecordId, now: Timestamp) -> StoreResult<Option<Recount>>;

    /// As [`Writer::recount_branch`], by a look: takes what was wrong with the counter then off
    /// what it says now. A counter that was too low may come out too high, which the next recount
    /// finds, and never too low.
    fn correct_branch(
        &mut self,
        branch: RecordId,
        look: &BranchLook,
        now: Timestamp,
    ) -> StoreResult<Option<Recount>> {
        let _ = (branch, look, now);
        Ok(None)
    }

    /// Writes what audits found, each under its round only. A branch that is over is forgotten, unless it
    /// was repaired; if its parent waits, idle and not due, at a merge all of whose branches are joined,
    /// the parent is woken. Answers the runs that were. A branch whose parent runs and has that merge still to
    /// record is kept and looked at again.
    fn record_audits(
        &mut self,
        findings: &[AuditFinding],
        now: Timestamp,
    ) -> StoreResult<Vec<RunId>>;

    /// Claims names of workflows for the application that is named with each, and answers the
    /// owners. Writes nothing when all have owners already, or when one of them has another owner.
    fn enter_workflows(
        &mut self,
        workflows: &[Belonging],
        now: Timestamp,
    ) -> StoreResult<Vec<Belonging>>;

    /// Enters a worker as alive, in a life of its own: under an id and an incarnation that no other has.
    fn register_worker(
        &mut self,
        worker: &WorkerEntry<'_>,
        now: Timestamp,
    ) -> StoreResult<WorkerId>;

    /// Renews a worker's lease, prunes its claims rows, and compares them with `held`, the runs that memory
    /// knew when it asked: which of those are lost or were woken, and which runs memory did not know
    /// (orphans; a claim whose reply was lost, or one that is on its way just now). Hands nothing back. Of a worker
    /// whose row is gone, or is another life's, it says so.
    fn heartbeat(
        &mut self,
        worker: WorkerId,
        held: &[(RunId, Epoch)],
        now: Timestamp,
    ) -> StoreResult<Heartbeat>;

    /// Hands back those of these runs that this worker still holds under these epochs: idle and due,
    /// epoch + 1, no crash. Answers how many. Memory has disowned them before, so nothing of them begins here.
    fn release_orphans(
        &mut self,
        worker: WorkerId,
        orphans: &[(RunId, Epoch)],
        now: Timestamp,
    ) -> StoreResult<u64>;

    /// Declares a worker dead if it is not stopped and its last heartbeat is still the one that was
    /// `watched` (`None`: its lock was found free, so whatever its heartbeat): its running runs
    /// become due with epoch + 1 and one more crash, poisoned ones fail with an error row, its claims
    /// are deleted, it is stopped. Deaths outside quarantine raise `crashes` to `quarantine_from`
    /// at most; from there on each death counts, and `poison_at` of them in quarantine fail the run.
    fn declare_dead(
        &mut self,
        worker: WorkerId,
        watched: Option<Timestamp>,
        limits: CrashLimits,
        now: Timestamp,
    ) -> StoreResult<Option<Recovered>>;

    /// Notes which suspects (runs from quarantine on) a worker executes: all of them, before the newest begins. Who is
    /// not among them when the worker dies had not begun, and its death says nothing of it.
    fn note_suspects(&mut self, worker: WorkerId, suspects: &[(RunId, Epoch)]) -> StoreResult<()>;

    /// A worker that was declared dead lives: takes back the crash that its end was counted as, for those of these
    /// runs that were taken from it under these epochs. What failed for good stays failed.
    fn came_back(&mut self, held: &[(RunId, Epoch)]) -> StoreResult<()>;

    /// Puts a run that loses its pass again and again into quarantine: it has at least so many crashes. One that has
    /// settled is left alone.
    fn quarantine(&mut self, run: RunId, crashes: u32) -> StoreResult<()>;

    /// Notes what keeps a worker's runtime from everything else, or that nothing does.
    fn note_stuck(&mut self, worker: WorkerId, stuck: Option<&str>) -> StoreResult<()>;

    /// Stops a worker gracefully: whatever it still holds becomes due, epoch + 1, no crash.
    fn retire_worker(&mut self, worker: WorkerId, now: Timestamp) -> StoreResult<()>;

    /// Tells other processes, in a transaction of its own. An accelerator: it may be lost. Nothing where
    /// [`Capabilities::notifies`] is off.
    fn notify(&mut self, calls: &[Call]) -> StoreResult<()>;
}

/// What a database can do beyond what every database can. What differs between two of them is
/// declared here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How many writers of batches gain from working at the same time.
    pub writers: u32,
    /// How many may read at the same time.
    pub readers: u32,
    /// Writers work beside each other. Where the database takes one at a time, everything goes through one,
    /// so that what is urgent passes the batches by in our own queue and not in the database's.
    pub parallel_writes: bool,
    /// It proves the death of a worker faster than its lease does; see [`WorkerLocks`].
    pub worker_locks: bool,
    /// It has a clock that all processes share; see [`Store::database_now`].
    pub own_clock: bool,
    /// It stores texts with the null character.
    pub stores_nul: bool,
    /// It carries [`Call`]s between processes.
    pub notifies: bool,
    /// Other processes are heard; see [`Store::listener`].
    pub hears: bool,
}

/// An ear for other processes.
pub trait Listener: Send {
    /// How long a wait may be that the end of an engine waits for.
    fn wait_max(&self) -> Duration {
        Duration::from_millis(20)
    }

    /// Waits for calls, at most this long. Opens its connection anew after a loss, and then answers
    /// [`Call::missed`], since calls may have been. Where others are heard although they tell
    /// nothing, it finds out which of the runs that are `awaited` here have settled.
    fn wait(
        &mut self,
        at_most: Duration,
        awaited: &dyn Fn() -> Vec<RunId>,
    ) -> StoreResult<Vec<Call>>;
}

/// Files whose OS lock tells that a worker lives.
pub trait WorkerLocks: Send + Sync {
    /// Takes this worker's lock for as long as the guard lives.
    fn hold(&self, worker: WorkerId) -> StoreResult<Box<dyn Send + Sync>>;
    /// Whether the worker's lock is free, which means it is dead now. A missing file proves
    /// nothing (`false`).
    fn is_free(&self, worker: WorkerId) -> bool;
    /// Whether a live process holds the worker's lock: it lives, however long it is silent.
    fn is_held(&self, worker: WorkerId) -> bool;
    /// Removes the file of a worker that was declared dead.
    fn remove(&self, worker: WorkerId);
    /// Removes files that dead processes left: those of workers that are not among these live ones,
    /// if no process holds their lock.
    fn sweep(&self, live: &[WorkerId]);
}
