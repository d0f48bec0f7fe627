//! Audits against everything that may happen to a branch at the same time: dispatch, completion, failure,
//! retries by hand, take-over, late writes of the dead, the seal. A right counter is never taken for a
//! wrong one, and the recount never finds anything to repair.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;

use super::count::{self, Counted, Step};
use crate::record::*;
#[cfg(feature = "postgres")]
use crate::store::conformance::backend::postgres::Postgres;
#[cfg(feature = "sqlite")]
use crate::store::conformance::backend::sqlite::Sqlite;
use crate::store::conformance::backend::{Backend, Database};
use crate::store::conformance::run;
use crate::store::*;

/// Storms, each of which is another one.
const STORMS: u64 = 6;

/// What happens in one storm before it calms down.
const EVENTS: usize = 120;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// Two processes that execute one parent and its children.
struct Storm {
    random: fastrand::Rng,
    writers: [Box<dyn Writer>; 2],
    workers: [WorkerId; 2],
    parent: ClaimedRun,
    dispatched: usize,
    is_sealed: bool,
    /// Children that a process believes to hold; some were taken from it.
    held: Vec<(ClaimedRun, WorkerId, usize)>,
}

impl Storm {
    fn new(database: &dyn Database, seed: u64) -> Self {
        let mut writers = [(); 2].map(|()| database.open().writer().unwrap());
        let workers = [0, 1].map(|process| register(writers[process].as_mut()));
        let start = Start {
            key: format!("p{seed}"),
            workflow: "flow".into(),
            queue: "default".into(),
            level: Level(1),
            args: "1".into(),
            claim: Some(workers[0]),
        };
        let started = writers[0].start(&[start], at(0)).unwrap().remove(0);
        let Started::Claimed(parent) = started else {
            panic!("{started:?}")
        };
        Self {
            random: fastrand::Rng::with_seed(seed),
            writers,
            workers,
            parent: *parent,
            dispatched: 0,
            is_sealed: false,
            held: Vec::new(),
        }
    }

    fn plan(run: &ClaimedRun, worker: WorkerId) -> Plan {
        let (run, epoch, parent) = (run.id, run.epoch, run.parent);
        Plan::new(Fence { run, worker, epoch }, parent)
    }

    fn dispatch(&mut self) {
        let children = (0..self.random.usize(1..20)).map(|nth| {
            let index = self.dispatched + nth;
            ChildRow {
                key: format!("{}$b$s${index}", self.parent.key),
                workflow: "child".into(),
                queue: "default".into(),
                level: Level::child(Priority::Normal, index as u64),
                args: "1".into(),
                claimed: !index.is_multiple_of(3),
            }
        });
        let children: Vec<ChildRow> = children.collect();
        self.dispatched += children.len();
        let dispatch = Dispatch {
            branch: "branch$b".into(),
            cursor: None,
            children,
            at: at(1),
        };
        let plan = Plan {
            dispatches: vec![dispatch],
            ..Self::plan(&self.parent, self.workers[0])
        };
        let applied = self.writers[0].apply(&[plan], at(1)).unwrap();
        for outcome in applied.outcomes {
            let claimed = outcome.claimed.into_iter();
            self.held
                .extend(claimed.map(|run| (run, self.workers[0], 0)));
        }
    }

    fn seal(&mut self) {
        let record = Record {
            state: RecordState::Completed,
            ..Record::pending("branch$b".into(), at(1))
        };
        let plan = Plan {
            records: vec![record],
            ..Self::plan(&self.parent, self.workers[0])
        };
        self.writers[0].apply(&[plan], at(1)).unwrap();
        self.is_sealed = true;
    }

    /// Ends some of the children that are held, or were.
    fn end(&mut self, most: usize, end: &RunEnd) {
        self.random.shuffle(&mut self.held);
        for process in [0, 1] {
            let mut plans: Vec<Plan> = Vec::new();
            self.held.retain(|(run, worker, holder)| {
                // A run that was lost and claimed again is there twice, and in a batch once.
                let is_first = !plans.iter().any(|plan| plan.fence.run == run.id);
                let ends = *holder == process && plans.len() < most && is_first;
                if ends {
                    let end = Some(end.clone());
                    plans.push(Plan {
                        end,
                        ..Self::plan(run, *worker)
                    });
                }
                !ends
            });
            self.writers[process].apply(&plans, at(2)).unwrap();
        }
    }

    fn claim(&mut self, process: usize) -> usize {
        let room = Room {
            queue: "default".to_owned(),
            healthy: 9,
            returning: 9,
            urgent_only: false,
        };
        let request = ClaimRequest {
            worker: self.workers[process],
            now: at(9),
            queues: &[room],
            workflows: &["child".to_owned()],
            lowest_first: false,
            quarantine_slot: true,
            quarantine_from: 2,
            company: Suspects::none(CrashLimits {
                quarantine_from: 2,
                poison_at: 5,
            }),
        };
        let claims = self.writers[process].claim_due(&request).unwrap();
        let taken = claims.runs.len();
        let worker = self.workers[process];
        self.held
            .extend(claims.runs.into_iter().map(|run| (run, worker, process)));
        taken
    }

    fn retry(&mut self) {
        let page = BlockedPage {
            filter: &RetryFilter::new(),
            branch: None,
            after: RunId(0),
            until: at(99),
            limit: 50,
        };
        self.writers[1].retry_blocked(&page, at(3)).unwrap();
    }

    /// The second process is declared dead by the first, and lives: what it held it still writes.
    fn take_over(&mut self) {
        let limits = CrashLimits {
            quarantine_from: 2,
            poison_at: 5,
        };
        self.writers[0]
            .declare_dead(self.workers[1], None, limits, at(4))
            .unwrap();
        self.workers[1] = register(self.writers[1].as_mut());
    }

    fn happen(&mut self) {
        match self.random.u32(0..12) {
            0..3 if !self.is_sealed => self.dispatch(),
            3 if self.dispatched > 100 && !self.is_sealed => self.seal(),
            4 => {
                let failed = RunEnd::Failed {
                    at: at(2),
                    attempts: 1,
                    retry_counts: None,
                };
                self.end(2, &failed);
            }
            5 => self.retry(),
            6 => self.take_over(),
            what @ 7..9 => drop(self.claim(what as usize - 7)),
            what => self.end(1 + what as usize % 8, &done()),
        }
    }

    /// Everything ends well.
    fn calm(&mut self) {
        if !self.is_sealed {
            self.seal();
        }
        loop {
            self.end(usize::MAX, &done());
            self.retry();
            if self.claim(0) + self.claim(1) == 0 && self.held.is_empty() {
                return;
            }
        }
    }
}

/// Ends the audits, also when the storm fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn register(writer: &mut dyn Writer) -> WorkerId {
    writer
        .register_worker(
            &WorkerEntry {
                name: "w",
                host: "host",
                pid: 1,
                lease: std::time::Duration::from_secs(10),
                workflows: &[],
                queues: &[],
            },
            at(0),
        )
        .unwrap()
}

fn done() -> RunEnd {
    RunEnd::Completed {
        output: "1".into(),
        at: at(2),
    }
}

fn counted(store: &dyn Store, branch: RecordId, page_rows: u32) -> Option<Counted> {
    let mut step = count::begin(store, branch, page_rows).unwrap();
    loop {
        match step {
            Step::Ended(counted) => return counted,
            Step::More(counting) => step = counting.page(store).unwrap(),
        }
    }
}

/// Audits until the storm is over; answers how many audits there were.
fn audit(database: &dyn Database, parent: RunId, is_over: &AtomicBool) -> u64 {
    let store = database.open();
    let mut writer = store.writer().unwrap();
    let mut audits = 0;
    while !is_over.load(Ordering::Acquire) {
        let states = store.branch_states(parent, 9).unwrap();
        let Some((branch, _)) = states.first() else {
            continue;
        };
        audits += 1;
        let page_rows = 1 + audits as u32 % 7;
        if let Some(counted) = counted(&*store, *branch, page_rows) {
            assert!(counted.holds(), "{counted:?}");
        }
        if audits % 5 == 0 {
            let recount = writer.recount_branch(*branch, at(5)).unwrap();
            assert!(!recount.as_ref().unwrap().repaired, "{recount:?}");
        }
    }
    audits
}

fn no_storm_makes_a_right_counter_look_wrong(on: &dyn Backend) {
    let audits = AtomicU64::new(0);
    for seed in 0..STORMS {
        let database = &*on.fresh();
        let mut storm = Storm::new(database, seed);
        let (parent, is_over) = (storm.parent.id, AtomicBool::new(false));
        std::thread::scope(|scope| {
            let _over = Over(&is_over);
            scope.spawn(|| audits.fetch_add(audit(database, parent, &is_over), Ordering::Relaxed));
            for _ in 0..EVENTS {
                storm.happen();
            }
            storm.calm();
        });
        let store = &*database.open();
        let (branch, state) = store.branch_states(parent, 9).unwrap().remove(0);
        let spawned = storm.dispatched as u64;
        assert_eq!((state.spawned, state.pending), (spawned, 0), "storm {seed}");
        assert_eq!(counted(store, branch, 3).unwrap().count.unfinished, 0);
        assert!(store.run(parent).unwrap().unwrap().wake_requested);
    }
    assert!(audits.into_inner() > STORMS, "they hardly met");
}

#[cfg(feature = "sqlite")]
#[test]
fn no_storm_makes_a_right_counter_look_wrong_on_sqlite() {
    let name = "no_storm_makes_a_right_counter_look_wrong_on_sqlite";
    run(name, &Sqlite, no_storm_makes_a_right_counter_look_wrong);
}

#[cfg(feature = "postgres")]
#[test]
fn no_storm_makes_a_right_counter_look_wrong_on_postgres() {
    let name = "no_storm_makes_a_right_counter_look_wrong_on_postgres";
    run(name, &Postgres, no_storm_makes_a_right_counter_look_wrong);
}
