//! A throwaway database and short ways to say what happens to it.

use std::sync::Arc;

use jiff::Timestamp;

use super::backend::{Backend, Database};
use crate::record::*;
use crate::store::*;

/// One store, its writer, and a worker.
pub(crate) struct Forge {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) writer: Box<dyn Writer>,
    pub(crate) worker: WorkerId,
    /// Last, so that the database goes after its connections.
    pub(crate) database: Box<dyn Database>,
}

pub(crate) const LIMITS: CrashLimits = CrashLimits {
    quarantine_from: 2,
    poison_at: 5,
};

/// The lease of every worker here.
pub(crate) const LEASE: std::time::Duration = std::time::Duration::from_secs(10);

/// The instant `seconds` after the tests' beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// Due at once, and waiting since this instant.
pub(crate) fn since(seconds: i64) -> Option<Due> {
    Some(Due::AtOnce { since: at(seconds) })
}

/// The second in which a run that is due at once has arrived; those of one instant may be a few microseconds apart.
pub(crate) fn arrived(due: Option<Due>) -> Option<Timestamp> {
    match due {
        Some(Due::AtOnce { since }) => Timestamp::from_second(since.as_second()).ok(),
        _ => None,
    }
}

/// One entry of a context.
pub(crate) fn written(key: &str, value: &str) -> entries::Entries {
    entries::Entries::from([(key.to_owned(), Some(value.into()))])
}

pub(crate) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Forge {
    pub(crate) fn on(backend: &dyn Backend) -> Self {
        Self::of(backend.fresh())
    }

    pub(crate) fn of(database: Box<dyn Database>) -> Self {
        let store = database.open();
        let mut writer = store.writer().unwrap();
        let worker = writer
            .register_worker(&entry("w", "host", 1), at(0))
            .unwrap();
        Self {
            store,
            writer,
            worker,
            database,
        }
    }

    /// A writer of another process.
    pub(crate) fn other_writer(&self) -> Box<dyn Writer> {
        self.database.open().writer().unwrap()
    }

    pub(crate) fn start_at(&mut self, key: &str, level: i16, now: Timestamp) -> RunId {
        let start = start(key, "flow", level, None);
        match self.writer.start(&[start], now).unwrap().remove(0) {
            Started::Inserted(run) => run,
            other => panic!("{other:?}"),
        }
    }

    /// A run that the worker holds.
    pub(crate) fn running(&mut self, key: &str) -> ClaimedRun {
        let start = start(key, "flow", 1, Some(self.worker));
        match self.writer.start(&[start], at(0)).unwrap().remove(0) {
            Started::Claimed(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn plan(&self, run: &ClaimedRun) -> Plan {
        let fence = Fence {
            run: run.id,
            worker: self.worker,
            epoch: run.epoch,
        };
        Plan::new(fence, run.parent)
    }

    /// Applies one plan that must be written; tells whether the run was woken.
    pub(crate) fn apply(&mut self, plan: &Plan) -> bool {
        let applied = self
            .writer
            .apply(std::slice::from_ref(plan), at(10))
            .unwrap();
        match applied.outcomes[0].verdict {
            Verdict::Applied { woken } => woken,
            ref other => panic!("{other:?}"),
        }
    }

    pub(crate) fn end(&mut self, run: &ClaimedRun, end: RunEnd) -> Applied {
        let plan = Plan {
            end: Some(end),
            ..self.plan(run)
        };
        self.writer.apply(&[plan], at(10)).unwrap()
    }

    pub(crate) fn row(&self, run: RunId) -> RunRow {
        self.store.run(run).unwrap().unwrap()
    }

    pub(crate) fn claim(&mut self, now: Timestamp) -> Vec<ClaimedRun> {
        self.claim_as(self.worker, now)
    }

    pub(crate) fn claim_as(&mut self, worker: WorkerId, now: Timestamp) -> Vec<ClaimedRun> {
        let request = ClaimRequest {
            worker,
            now,
            queues: &[room(100)],
            workflows: &names(&["flow", "child"]),
            lowest_first: false,
            quarantine_slot: true,
            quarantine_from: LIMITS.quarantine_from,
            company: Suspects::none(LIMITS),
        };
        self.writer.claim_due(&request).unwrap().runs
    }

    /// A branch of `parent` with `children` claimed children, sealed or not.
    pub(crate) fn branch(&mut self, parent: &ClaimedRun, children: u32) -> Vec<ClaimedRun> {
        let plan = Plan {
            dispatches: vec![dispatch(children, true)],
            ..self.plan(parent)
        };
        let mut applied = self.writer.apply(&[plan], at(1)).unwrap();
        applied.outcomes.remove(0).claimed
    }

    pub(crate) fn seal(&mut self, parent: &ClaimedRun) {
        let record = Record {
            state: RecordState::Completed,
            ..record("branch$b")
        };
        let plan = Plan {
            records: vec![record],
            ..self.plan(parent)
        };
        self.apply(&plan);
    }

    pub(crate) fn release(&mut self, orphans: &[(RunId, Epoch)], now: Timestamp) -> u64 {
        let released = self.writer.release_orphans(self.worker, orphans, now);
        released.unwrap()
    }

    /// Spawned and pending of `branch$b`.
    pub(crate) fn counters(&self, run: RunId) -> (u64, u64) {
        let branches = self.store.branches(run, &names(&["branch$b"])).unwrap();
        (branches[0].spawned, branches[0].pending)
    }

    /// See [`lines`].
    pub(crate) fn lines(&self, columns: &str, from: &str) -> Vec<String> {
        lines(&*self.database, columns, from)
    }

    /// Rows behind the store's back.
    pub(crate) fn count(&self, from: &str) -> u64 {
        count(&*self.database, from)
    }

    /// Changes one row behind the store's back.
    pub(crate) fn edit(&self, sql: &str) {
        assert_eq!(self.database.execute(sql), 1, "{sql}");
    }
}

/// Rows behind the store's back: these columns of each, a blank between them, `-` for null. Instants
/// (`.._at`, `since`) come in microseconds.
pub(crate) fn lines(database: &dyn Database, columns: &str, from: &str) -> Vec<String> {
    let text = |column: &str| {
        let is_instant = column.ends_with("_at") || column == "since";
        let value = match is_instant {
            true => database.micros(column),
            false => column.to_owned(),
        };
        format!("coalesce(CAST({value} AS TEXT), '-')")
    };
    let columns: Vec<String> = columns.split(", ").map(text).collect();
    let columns = columns.join(" || ' ' || ");
    database.texts(&format!("SELECT {columns} AS text FROM {from}"))
}

pub(crate) fn count(database: &dyn Database, from: &str) -> u64 {
    lines(database, "count(*)", from)[0].parse().unwrap()
}

/// The first children of a run of this key.
pub(crate) fn family(key: &str, children: u32, claimed: bool) -> Dispatch {
    let mut dispatch = dispatch(children, claimed);
    for child in &mut dispatch.children {
        child.key = child.key.replacen('p', key, 1);
    }
    dispatch
}

/// Enters one more worker.
pub(crate) fn enter(writer: &mut dyn Writer) -> StoreResult<WorkerId> {
    writer.register_worker(&entry("w", "host", 1), at(0))
}

/// Whether this may be said of a plan whose `end` was written before. Where the reply to a commit can be lost, the same
/// plan comes again and is done.
pub(crate) fn changes_nothing(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Fenced | Verdict::Applied { woken: false })
}

/// A failed attempt of a step, or of the body.
pub(crate) fn error(step: Option<&str>, attempt: u32, message: &str) -> ErrorRow {
    ErrorRow {
        step_name: step.map(Into::into),
        attempt,
        class: "Broken".into(),
        message: message.into(),
        backtrace: None,
        context: None,
        at: at(2),
    }
}

impl Forge {
    /// A worker claims everything, begins it and dies.
    pub(crate) fn die(&mut self) -> Recovered {
        let entry = entry("x", "h", 1);
        let worker = self.writer.register_worker(&entry, at(0)).unwrap();
        let held = self.claim_as(worker, at(5));
        assert_eq!(held.len(), 1);
        let begun: Vec<_> = held.iter().map(known).collect();
        self.writer.note_suspects(worker, &begun).unwrap();
        let recovered = self.writer.declare_dead(worker, None, LIMITS, at(5));
        recovered.unwrap().unwrap()
    }
}

/// A worker as it enters; it serves nothing by name.
pub(crate) fn entry(name: &'static str, host: &'static str, pid: u32) -> WorkerEntry<'static> {
    WorkerEntry {
        name,
        host,
        pid,
        lease: LEASE,
        workflows: &[],
        queues: &[],
    }
}

/// A run as memory knows it.
pub(crate) fn known(run: &ClaimedRun) -> (RunId, Epoch) {
    (run.id, run.epoch)
}

pub(crate) fn start(key: &str, workflow: &str, level: i16, claim: Option<WorkerId>) -> Start {
    Start {
        key: key.into(),
        workflow: workflow.into(),
        queue: "default".into(),
        level: Level(level),
        args: r#"{"a":1}"#.into(),
        claim,
    }
}

pub(crate) fn child(index: u32, claimed: bool) -> ChildRow {
    ChildRow {
        key: format!("p$b$s${index}"),
        workflow: "child".into(),
        queue: "default".into(),
        level: Level::child(Priority::Normal, index.into()),
        args: format!("{index}").into(),
        claimed,
    }
}

pub(crate) fn dispatch(children: u32, claimed: bool) -> Dispatch {
    Dispatch {
        branch: "branch$b".into(),
        cursor: Some(("s".into(), format!(r#"{{"n":{children}}}"#).into())),
        children: (0..children).map(|index| child(index, claimed)).collect(),
        at: at(1),
    }
}

pub(crate) fn record(name: &str) -> Record {
    Record::pending(name.into(), at(1))
}

pub(crate) fn completed(seq: i64, result: &str) -> Record {
    Record {
        state: RecordState::Completed,
        seq: Some(seq),
        attempts: 1,
        result: Some(result.into()),
        completed_at: Some(at(2)),
        ..record(&format!("step$s{seq}"))
    }
}

pub(crate) fn done(output: &str) -> RunEnd {
    RunEnd::Completed {
        output: output.into(),
        at: at(10),
    }
}

pub(crate) fn parked(wake_at: Option<Timestamp>) -> RunEnd {
    RunEnd::Parked {
        wake_at: wake_at.map(Due::At),
        dropped_foreign: false,
    }
}

/// Room for so many healthy and as many returning runs of the default queue.
pub(crate) fn room(runs: u32) -> Room {
    Room {
        queue: "default".to_owned(),
        healthy: runs,
        returning: runs,
        urgent_only: false,
    }
}

/// What is asked of the only run with a key; `None` when there is no such run.
pub(crate) trait ByKey {
    fn ask(&mut self, name: RunName, asks: RunAsks, now: Timestamp) -> StoreResult<RunAnswer>;

    fn wake(&mut self, workflow: &str, key: &str, now: Timestamp) -> StoreResult<Option<Woken>> {
        match self.ask(RunName::key(workflow, key), RunAsks::Wake, now)? {
            RunAnswer::Woken(woken) => Ok(Some(woken)),
            RunAnswer::Missing => Ok(None),
            other => panic!("{other:?}"),
        }
    }

    fn retry(
        &mut self,
        workflow: &str,
        key: &str,
        records: Option<&[String]>,
        now: Timestamp,
    ) -> StoreResult<Option<Rearmed>> {
        let asks = RunAsks::Retry(Rearm {
            records: records.map(<[String]>::to_vec),
            args: None,
        });
        match self.ask(RunName::key(workflow, key), asks, now)? {
            RunAnswer::Retried(rearmed) => Ok(Some(rearmed)),
            RunAnswer::Missing => Ok(None),
            other => panic!("{other:?}"),
        }
    }

    fn unlock(&mut self, workflow: &str, key: &str, now: Timestamp) -> StoreResult<Option<Found>> {
        match self.ask(RunName::key(workflow, key), RunAsks::Unlock, now)? {
            RunAnswer::Unlocked(found) => Ok(Some(found)),
            RunAnswer::Missing => Ok(None),
            other => panic!("{other:?}"),
        }
    }

    fn reset_crashes(
        &mut self,
        workflow: &str,
        key: &str,
        now: Timestamp,
    ) -> StoreResult<Option<Found>> {
        match self.ask(RunName::key(workflow, key), RunAsks::ResetCrashes, now)? {
            RunAnswer::CrashesReset(found) => Ok(Some(found)),
            RunAnswer::Missing => Ok(None),
            other => panic!("{other:?}"),
        }
    }
}

impl<W: Writer + ?Sized> ByKey for W {
    fn ask(&mut self, run: RunName, asks: RunAsks, now: Timestamp) -> StoreResult<RunAnswer> {
        let mut answers = self.call_runs(&[RunCall { run, asks }], now)?;
        Ok(answers.remove(0))
    }
}

/// Finds the only run with a key.
pub(crate) trait FindByKey {
    fn find_run(&self, workflow: &str, key: &str) -> StoreResult<Option<RunRow>>;
}

impl<S: Store + ?Sized> FindByKey for S {
    fn find_run(&self, workflow: &str, key: &str) -> StoreResult<Option<RunRow>> {
        let found = self.namesakes(workflow, key, 2)?;
        assert!(found.len() < 2, "{found:?}");
        match found.first() {
            Some(only) => self.run(RunId(only.id)),
            None => Ok(None),
        }
    }
}
