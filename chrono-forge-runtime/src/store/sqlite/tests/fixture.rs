//! A throwaway database and short ways to say what happens to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;

use crate::record::*;
use crate::store::sqlite::{Location, SqliteOptions, SqliteStore};
use crate::store::*;

/// An empty directory that goes with the test.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("chrono-forge-{}-{nth}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn options(&self) -> SqliteOptions {
        SqliteOptions::new(Location::File(self.0.join("forge.db")))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One store, its writer, and a worker.
pub(super) struct Forge {
    pub(super) store: Arc<dyn Store>,
    pub(super) writer: Box<dyn Writer>,
    pub(super) worker: WorkerId,
    /// Last, so that the files go after the connections.
    pub(super) scratch: Scratch,
}

pub(super) const LIMITS: CrashLimits = CrashLimits {
    quarantine_from: 2,
    poison_at: 5,
};

/// The instant `seconds` after the tests' beginning.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(super) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Forge {
    pub(super) fn new() -> Self {
        let scratch = Scratch::new();
        let store = SqliteStore::open(scratch.options()).unwrap();
        let mut writer = store.writer().unwrap();
        let worker = writer.register_worker("w", "host", 1, at(0)).unwrap();
        Self {
            store: Arc::new(store),
            writer,
            worker,
            scratch,
        }
    }

    pub(super) fn start_at(&mut self, key: &str, level: i16, now: Timestamp) -> RunId {
        let start = start(key, "flow", level, None);
        match self.writer.start(&[start], now).unwrap().remove(0) {
            Started::Inserted(run) => run,
            other => panic!("{other:?}"),
        }
    }

    /// A run that the worker holds.
    pub(super) fn running(&mut self, key: &str) -> ClaimedRun {
        let start = start(key, "flow", 1, Some(self.worker));
        match self.writer.start(&[start], at(0)).unwrap().remove(0) {
            Started::Claimed(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn plan(&self, run: &ClaimedRun) -> Plan {
        let fence = Fence {
            run: run.id,
            worker: self.worker,
            epoch: run.epoch,
        };
        Plan::new(fence, run.parent)
    }

    /// Applies one plan that must be written; tells whether the run was woken.
    pub(super) fn apply(&mut self, plan: &Plan) -> bool {
        let applied = self
            .writer
            .apply(std::slice::from_ref(plan), at(10))
            .unwrap();
        match applied.outcomes[0].verdict {
            Verdict::Applied { woken } => woken,
            ref other => panic!("{other:?}"),
        }
    }

    pub(super) fn end(&mut self, run: &ClaimedRun, end: RunEnd) -> Applied {
        let plan = Plan {
            end: Some(end),
            ..self.plan(run)
        };
        self.writer.apply(&[plan], at(10)).unwrap()
    }

    pub(super) fn row(&self, run: RunId) -> RunRow {
        self.store.run(run).unwrap().unwrap()
    }

    pub(super) fn claim(&mut self, now: Timestamp) -> Vec<ClaimedRun> {
        self.claim_as(self.worker, now)
    }

    pub(super) fn claim_as(&mut self, worker: WorkerId, now: Timestamp) -> Vec<ClaimedRun> {
        let request = ClaimRequest {
            worker,
            now,
            queues: &[room(100)],
            workflows: &names(&["flow", "child"]),
            lowest_first: false,
            quarantine_slot: true,
            quarantine_from: LIMITS.quarantine_from,
        };
        self.writer.claim_due(&request).unwrap().runs
    }

    /// A branch of `parent` with `children` claimed children, sealed or not.
    pub(super) fn branch(&mut self, parent: &ClaimedRun, children: u32) -> Vec<ClaimedRun> {
        let plan = Plan {
            dispatches: vec![dispatch(children, true)],
            ..self.plan(parent)
        };
        let mut applied = self.writer.apply(&[plan], at(1)).unwrap();
        applied.outcomes.remove(0).claimed
    }

    pub(super) fn seal(&mut self, parent: &ClaimedRun) {
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

    pub(super) fn counters(&self, run: RunId) -> (u64, u64) {
        let branches = self.store.branches(run, &names(&["branch$b"])).unwrap();
        (branches[0].spawned, branches[0].pending)
    }
}

pub(super) fn start(key: &str, workflow: &str, level: i16, claim: Option<WorkerId>) -> Start {
    Start {
        key: key.into(),
        workflow: workflow.into(),
        queue: "default".into(),
        level: Level(level),
        args: r#"{"a":1}"#.into(),
        claim,
    }
}

pub(super) fn child(index: u32, claimed: bool) -> ChildRow {
    ChildRow {
        key: format!("p$b$s${index}"),
        workflow: "child".into(),
        queue: "default".into(),
        level: Level::child(Priority::Normal, index.into()),
        args: format!("{index}").into(),
        claimed,
    }
}

pub(super) fn dispatch(children: u32, claimed: bool) -> Dispatch {
    Dispatch {
        branch: "branch$b".into(),
        cursor: Some(("s".into(), format!(r#"{{"n":{children}}}"#).into())),
        children: (0..children).map(|index| child(index, claimed)).collect(),
        at: at(1),
    }
}

pub(super) fn record(name: &str) -> Record {
    Record::pending(name.into(), at(1))
}

pub(super) fn completed(seq: i64, result: &str) -> Record {
    Record {
        state: RecordState::Completed,
        seq: Some(seq),
        attempts: 1,
        result: Some(result.into()),
        completed_at: Some(at(2)),
        ..record(&format!("step$s{seq}"))
    }
}

pub(super) fn done(output: &str) -> RunEnd {
    RunEnd::Completed {
        output: output.into(),
        at: at(10),
    }
}

pub(super) fn parked(wake_at: Option<Timestamp>) -> RunEnd {
    RunEnd::Parked {
        wake_at,
        dropped_foreign: false,
    }
}

/// Room for so many healthy and as many returning runs of the default queue.
pub(super) fn room(runs: u32) -> Room {
    Room {
        queue: "default".to_owned(),
        healthy: runs,
        returning: runs,
        urgent_only: false,
    }
}
