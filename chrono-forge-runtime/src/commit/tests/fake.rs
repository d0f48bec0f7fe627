//! A store whose writers work beside each other and can be held up, over a database in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use crate::record::*;
use crate::store::sqlite::{Location, SqliteOptions, SqliteStore};
use crate::store::transfer::{CopyName, Exports, ImportNote, ImportedRuns, Imports, Snapshot};
use crate::store::*;

/// Whatever takes longer than this hangs.
const HANGS: Duration = Duration::from_secs(30);

/// What a database takes that loses patience.
const SLOW: Duration = Duration::from_millis(150);

pub(super) struct Fake {
    inner: SqliteStore,
    capabilities: Capabilities,
    pub(super) gate: Arc<Gate>,
}

impl Fake {
    /// With so many writers of batches; with none, one writer does everything.
    pub(super) fn new(writers: u32) -> Self {
        let inner = SqliteStore::open(SqliteOptions::new(Location::Memory)).unwrap();
        Self {
            capabilities: Capabilities {
                writers: writers.max(1),
                parallel_writes: writers > 0,
                ..inner.capabilities()
            },
            inner,
            gate: Arc::default(),
        }
    }
}

/// What intents do before they begin: wait while their name is shut, and say on which thread they are.
#[derive(Default)]
pub(super) struct Gate {
    inner: Mutex<Doors>,
    moved: Condvar,
    opened: AtomicUsize,
}

#[derive(Default)]
struct Doors {
    /// How many of a name still come to stand at its door.
    shut: HashMap<&'static str, u32>,
    waiting: u32,
    /// What the next intents of a name fail with, and all that follow with the last of them.
    broken: HashMap<&'static str, Vec<StoreErrorKind>>,
    /// Runs whose rows somebody else has locked.
    locked: Vec<RunId>,
    /// The most plans that the database writes before it runs out of patience.
    plans_max: Option<usize>,
    /// Intents with their thread, those of batches with their first run.
    passed: Vec<(&'static str, String, Option<RunId>)>,
}

impl Gate {
    /// How many writers were opened.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// The next intent of this name waits.
    pub(super) fn shut(&self, name: &'static str) {
        self.inner.lock().unwrap().shut.insert(name, 1);
    }

    pub(super) fn open(&self, name: &'static str) {
        self.inner.lock().unwrap().shut.remove(name);
        self.moved.notify_all();
    }

    /// The next intents of this name fail with these, and all that follow with the last of them.
    pub(super) fn fail(&self, name: &'static str, with: &[StoreErrorKind]) {
        let mut doors = self.inner.lock().unwrap();
        doors.broken.insert(name, with.to_vec());
    }

    /// Waits until so many of this name have passed.
    pub(super) fn await_passed(&self, name: &str, count: usize) {
        let is_missing = |doors: &mut Doors| {
            let of_name = doors.passed.iter().filter(|(passed, ..)| *passed == name);
            of_name.count() < count
        };
        let doors = self.inner.lock().unwrap();
        let waited = self.moved.wait_timeout_while(doors, HANGS, is_missing);
        assert!(!waited.unwrap().1.timed_out(), "nobody passed");
    }

    /// Larger batches fail, after a while, as often as they come.
    pub(super) fn fail_above(&self, plans_max: usize) {
        self.inner.lock().unwrap().plans_max = Some(plans_max);
    }

    /// Somebody else has locked the rows of these runs, and of no others, from now on.
    pub(super) fn lock(&self, runs: &[i64]) {
        self.inner.lock().unwrap().locked = runs.iter().copied().map(RunId).collect();
    }

    fn is_locked(&self, plan: &Plan) -> bool {
        self.inner.lock().unwrap().locked.contains(&plan.fence.run)
    }

    /// The names of all that passed, in order.
    pub(super) fn order(&self) -> Vec<&'static str> {
        let doors = self.inner.lock().unwrap();
        doors.passed.iter().map(|(name, ..)| *name).collect()
    }

    fn is_too_large(&self, plans: &[Plan]) -> bool {
        let plans_max = self.inner.lock().unwrap().plans_max;
        plans_max.is_some_and(|most| plans.len() > most)
    }

    /// Waits until so many stand at doors.
    pub(super) fn await_waiting(&self, count: u32) {
        let doors = self.inner.lock().unwrap();
        let waited = self
            .moved
            .wait_timeout_while(doors, HANGS, |doors| doors.waiting != count)
            .unwrap();
        assert!(!waited.1.timed_out(), "nobody came");
    }

    /// What passed, in order.
    pub(super) fn passed(&self, name: &str) -> Vec<(String, Option<RunId>)> {
        let doors = self.inner.lock().unwrap();
        let of_name = doors.passed.iter().filter(|(passed, ..)| *passed == name);
        of_name
            .map(|(_, thread, run)| (thread.clone(), *run))
            .collect()
    }

    fn pass(&self, name: &'static str, run: Option<RunId>) -> StoreResult<()> {
        let mut doors = self.inner.lock().unwrap();
        if doors.shut.get(name) == Some(&1) {
            doors.shut.insert(name, 0);
            doors.waiting += 1;
            self.moved.notify_all();
            doors = self
                .moved
                .wait_while(doors, |doors| doors.shut.contains_key(name))
                .unwrap();
            doors.waiting -= 1;
        }
        let thread = std::thread::current().name().unwrap().to_owned();
        doors.passed.push((name, thread, run));
        self.moved.notify_all();
        let Some(kinds) = doors.broken.get_mut(name).filter(|kinds| !kinds.is_empty()) else {
            return Ok(());
        };
        let kind = kinds[0];
        if kinds.len() > 1 {
            kinds.remove(0);
        }
        Err(StoreError::new(name, kind, "broken by the test"))
    }
}

macro_rules! delegate {
    ($($name:ident($($arg:ident: $of:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($arg: $of),*) -> $answer {
            self.inner.$name($($arg),*)
        })*
    };
}

macro_rules! delegate_mut {
    ($($name:ident($($arg:ident: $of:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&mut self, $($arg: $of),*) -> StoreResult<$answer> {
            self.gate.pass(stringify!($name), None)?;
            self.inner.$name($($arg),*)
        })*
    };
}

impl Store for Fake {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn writer(&self) -> StoreResult<Box<dyn Writer>> {
        self.gate.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FakeWriter {
            inner: self.inner.writer()?,
            gate: Arc::clone(&self.gate),
            locks_rows: self.capabilities.parallel_writes,
        }))
    }

    delegate! {
        database_now() -> StoreResult<Option<Timestamp>>;
        listener() -> StoreResult<Option<Box<dyn Listener>>>;
        worker_locks() -> Option<Box<dyn WorkerLocks>>;
        newest_migration() -> StoreResult<Option<String>>;
        revert_migration() -> StoreResult<Option<String>>;
        close() -> ();
        end_listening() -> ();
        namesakes(workflow: &str, key: &str, limit: u32) -> StoreResult<Vec<Namesake>>;
        child(run: RunId, branch: &str, workflow: &str, key: &str) -> StoreResult<Option<RunId>>;
        run(run: RunId) -> StoreResult<Option<RunRow>>;
        context(run: RunId) -> StoreResult<Option<Json>>;
        history(run: RunId, bytes_max: u64) -> StoreResult<Vec<RecordRow>>;
        result(run: RunId, record: RecordId) -> StoreResult<Option<Json>>;
        branches(run: RunId, names: &[String]) -> StoreResult<Vec<BranchRow>>;
        outputs(spawn: &SpawnPath, after: RunId, limit: u32) -> StoreResult<Vec<OutputRow>>;
        completion_order(spawn: &SpawnPath, limit: u64) -> StoreResult<Vec<RunId>>;
        outputs_of(runs: &[RunId]) -> StoreResult<Vec<OutputRow>>;
        failures(spawn: &SpawnPath, from: &FailurePlace, children: u32, limit: u32) -> StoreResult<FailurePage>;
        existing_children(run: RunId, branch: &str, keys: &[String]) -> StoreResult<Vec<String>>;
        next_wake(queues: &[String], workflows: &[String]) -> StoreResult<Option<Due>>;
        outlook(queues: &[String], workflows: &[String]) -> StoreResult<Outlook>;
        blocked_children(run: RunId, limit: u32) -> StoreResult<Vec<BlockedChild>>;
        branch_states(run: RunId, limit: u32) -> StoreResult<Vec<(RecordId, BranchState)>>;
        branch_counters(branch: RecordId) -> StoreResult<Option<BranchCounters>>;
        count_children(branch: RecordId, after: RunId, through: RunId, limit: u32) -> StoreResult<(ChildCount, RunId)>;
        audit_work(after: RecordId, limit: u32, opened_by: Timestamp, now: Timestamp) -> StoreResult<AuditWork>;
        blocked_descendants(run: &RunRow, limit: u32) -> StoreResult<Vec<BlockedChild>>;
        standstill(run: &RunRow, unserved: &[(String, String)], now: Timestamp) -> StoreResult<Option<Standstill>>;
        branches_of(run: RunId) -> StoreResult<Vec<RecordId>>;
        pending(run: RunId, limit: u32) -> StoreResult<Vec<PendingRow>>;
        live_workers() -> StoreResult<Vec<WorkerRow>>;
        serving() -> StoreResult<Vec<ServingRow>>;
        unknown_due(workflows: &[String], now: Timestamp, limit: u32) -> StoreResult<Vec<String>>;
        awaited(runs: &[RunId]) -> StoreResult<Vec<AwaitedRow>>;
        any_blocked() -> StoreResult<bool>;
        applications(workflows: &[String]) -> StoreResult<Vec<Belonging>>;
        unserved(now: Timestamp, limit: u32) -> StoreResult<Vec<UnservedRow>>;
    }
}

impl Exports for Fake {
    delegate! {
        snapshot() -> StoreResult<Box<dyn Snapshot>>;
        find(names: &[CopyName<'_>]) -> StoreResult<Vec<Option<RunId>>>;
        copies(runs: &[RunId]) -> StoreResult<Vec<(RunId, RunCopy)>>;
        import_note(id: &str) -> StoreResult<ImportNote>;
        unfinished_import() -> StoreResult<Option<Timestamp>>;
    }
}

struct FakeWriter {
    inner: Box<dyn Writer>,
    gate: Arc<Gate>,
    locks_rows: bool,
}

impl Writer for FakeWriter {
    fn apply(&mut self, plans: &[Plan], now: Timestamp) -> StoreResult<Applied> {
        self.gate
            .pass("apply", plans.first().map(|plan| plan.fence.run))?;
        if self.gate.is_too_large(plans) {
            std::thread::sleep(SLOW);
            let told = "canceling statement due to statement timeout";
            return Err(StoreError::new("apply", StoreErrorKind::Transient, told));
        }
        if plans.iter().any(|plan| self.gate.is_locked(plan)) {
            std::thread::sleep(SLOW);
            let told = "canceling statement due to lock timeout";
            return Err(StoreError::new("apply", StoreErrorKind::Transient, told));
        }
        self.inner.apply(plans, now)
    }

    fn held_up(&mut self, plans: &[Plan]) -> StoreResult<Option<Vec<bool>>> {
        let held_up = || plans.iter().map(|plan| self.gate.is_locked(plan)).collect();
        Ok(self.locks_rows.then(held_up))
    }

    fn call_runs(&mut self, calls: &[RunCall], now: Timestamp) -> StoreResult<Vec<RunAnswer>> {
        self.gate
            .pass(calls.first().map_or("wake", RunCall::name), None)?;
        self.inner.call_runs(calls, now)
    }

    delegate_mut! {
        start(starts: &[Start], now: Timestamp) -> Vec<Started>;
        claim_due(request: &ClaimRequest<'_>) -> Claims;
        retry_blocked(page: &BlockedPage<'_>, now: Timestamp) -> RetriedPage;
        enter_audits(branches: &[RecordId], due_at: Timestamp, now: Timestamp) -> ();
        claim_audits(request: &AuditRequest<'_>, now: Timestamp) -> Vec<AuditClaim>;
        recount_branch(branch: RecordId, now: Timestamp) -> Option<Recount>;
        record_audits(findings: &[AuditFinding], now: Timestamp) -> Vec<RunId>;
        enter_workflows(workflows: &[Belonging], now: Timestamp) -> Vec<Belonging>;
        register_worker(worker: &WorkerEntry<'_>, now: Timestamp) -> WorkerId;
        heartbeat(worker: WorkerId, held: &[(RunId, Epoch)], now: Timestamp) -> Heartbeat;
        release_orphans(worker: WorkerId, orphans: &[(RunId, Epoch)], now: Timestamp) -> u64;
        declare_dead(worker: WorkerId, watched: Option<Timestamp>, limits: CrashLimits, now: Timestamp) -> Option<Recovered>;
        note_suspects(worker: WorkerId, suspects: &[(RunId, Epoch)]) -> ();
        came_back(held: &[(RunId, Epoch)]) -> ();
        quarantine(run: RunId, crashes: u32) -> ();
        note_stuck(worker: WorkerId, stuck: Option<&str>) -> ();
        retire_worker(worker: WorkerId, now: Timestamp) -> ();
        notify(calls: &[Call]) -> ();
    }
}

impl Imports for FakeWriter {
    delegate_mut! {
        begin_import(id: &str, now: Timestamp) -> ImportNote;
        import_runs(runs: &[RunParts], now: Timestamp) -> ImportedRuns;
        finish_import(id: &str, now: Timestamp) -> ();
        abandon_import(id: &str) -> ();
    }
}
