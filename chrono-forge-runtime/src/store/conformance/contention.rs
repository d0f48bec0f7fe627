//! Processes at work on the same rows: each a thread with a store, a writer and a worker of its own. What they
//! execute are families: parents whose children are parents, so that a run is its own in one batch and somebody's
//! parent in another, and batches come in any order. A store that takes its locks in an order of its own making
//! dies here of deadlocks; one that takes too few loses a wake-up or a count.
//!
//! There is no clock and no waiting: whatever may run is due. So a moment without anything due, held or blocked is
//! the end, and whoever has not completed by then is stranded.

pub(crate) mod deaths;
pub(crate) mod ear;
pub(crate) mod families;
pub(crate) mod operators;
mod process;
pub(crate) mod starts;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::backend::Database;
use super::fixture::*;
use crate::record::*;
use crate::store::*;
use ear::without_deadlocks;
use process::Process;

/// When everything is said to hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be executed, and how roughly.
#[derive(Clone, Copy)]
struct Plot {
    processes: u64,
    /// Top-level runs.
    roots: u32,
    /// Children of a run of each generation that has some.
    children: &'static [u32],
    /// Of a hundred leaves, how many fail at first and wait for a retry by hand.
    failing: u32,
    /// Of a hundred replies, how many are lost.
    replies_lost: u32,
}

const FAMILIES: Plot = Plot {
    processes: 3,
    roots: 4,
    children: &[6, 4],
    failing: 0,
    replies_lost: 0,
};

impl Plot {
    /// Runs of all generations.
    fn runs(&self) -> u64 {
        let generations = self.children.iter().scan(1, |runs, children| {
            *runs *= u64::from(*children);
            Some(*runs)
        });
        u64::from(self.roots) * (1 + generations.sum::<u64>())
    }
}

/// What the processes share.
struct Stage<'a> {
    plot: Plot,
    database: &'a dyn Database,
    /// Completions that were told to their process.
    completed: AtomicU64,
    begun: Instant,
    /// A process fell over, and what it holds will never come to an end.
    fell: AtomicBool,
}

impl Stage<'_> {
    /// Whether nothing is due, held or waits for a retry by hand: nothing will ever happen any more.
    fn is_quiet(&self) -> bool {
        let moving = "chrono_forge_workflows WHERE state NOT IN (0, 2) OR wake_at IS NOT NULL";
        count(self.database, moving) == 0
    }

    /// Fails when the plot cannot come to its end any more, or takes too long to be anything but stuck.
    fn check_patience(&self) {
        assert!(
            !self.fell.load(Ordering::Relaxed),
            "another process fell over"
        );
        assert!(self.begun.elapsed() < PATIENCE, "nothing comes to an end");
    }
}

/// Plays a plot to its end while somebody else is at work on the same rows: `meddle` is called again and again.
fn play(forge: &mut Forge, plot: Plot, mut meddle: impl FnMut(&dyn Store, &mut dyn Writer)) {
    for root in 0..plot.roots {
        forge.start_at(&format!("p{root}"), 1, at(1));
    }
    let database = &*forge.database;
    let stage = Stage {
        plot,
        database,
        completed: AtomicU64::new(0),
        begun: Instant::now(),
        fell: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let processes: Vec<_> = (0..plot.processes)
            .map(|nth| {
                let stage = &stage;
                scope.spawn(move || {
                    without_deadlocks(|| Process::new(database.open(), stage, nth).work());
                })
            })
            .collect();
        let store = database.open();
        let mut writer = store.writer().unwrap();
        without_deadlocks(|| {
            while !processes.iter().all(|process| process.is_finished()) {
                meddle(&*store, writer.as_mut());
            }
        });
        // A panic of a process is the test's.
        for process in processes {
            process.join().unwrap();
        }
    });
    assert_eq!(stage.completed.load(Ordering::Relaxed), plot.runs());
    check(forge, plot);
}

/// Makes a call until it is not turned away for the moment, as the engine does.
fn insist<T>(mut call: impl FnMut() -> StoreResult<T>) -> T {
    for _ in 0..1_000 {
        match call() {
            Ok(answer) => return answer,
            Err(error) if error.is_transient() => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("turned away a thousand times")
}

/// Everybody has completed, once, and every counter says so.
fn check(forge: &mut Forge, plot: Plot) {
    let runs = "chrono_forge_workflows";
    let stranded = format!("{runs} WHERE state <> 2 ORDER BY id");
    let columns = "id, key, state, wake_at, wake_requested, locked_by";
    assert_eq!(forge.lines(columns, &stranded), [""; 0], "stranded");
    assert_eq!(forge.count(runs), plot.runs());
    assert_eq!(forge.count("chrono_forge_blocked"), 0);
    let recorded = "chrono_forge_execution_logs WHERE step_name = 'step$s1' AND state = 1";
    assert_eq!(forge.count(recorded), plot.runs());
    let branches = forge.lines(
        "id, spawned, pending",
        "chrono_forge_execution_logs WHERE step_name = 'branch$b' ORDER BY id",
    );
    for branch in &branches {
        let mut numbers = branch.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        let (id, spawned, pending): (i64, i64, i64) = (next(), next(), next());
        let children = format!("{runs} WHERE parent_execution_log_id = {id}");
        let children = i64::try_from(forge.count(&children)).unwrap();
        assert_eq!((children, 0), (spawned, pending), "branch {branch}");
        let recount = forge.writer.recount_branch(RecordId(id), at(99)).unwrap();
        assert!(!recount.unwrap().repaired, "branch {branch}");
    }
    let parents = plot.runs() - u64::from(plot.roots) * leaves_of_a_root(plot);
    assert_eq!(branches.len() as u64, parents);
}

fn leaves_of_a_root(plot: Plot) -> u64 {
    plot.children
        .iter()
        .map(|children| u64::from(*children))
        .product()
}

/// Who calls at the same moment.
const CALLERS: u64 = 4;

/// What each caller got, all of them having begun at once.
fn at_once<T: Send>(forge: &Forge, call: impl Fn(&mut dyn Writer, u64) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(CALLERS as usize);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|nth| {
                let (barrier, call) = (&barrier, &call);
                let mut writer = forge.other_writer();
                scope.spawn(move || {
                    barrier.wait();
                    without_deadlocks(|| call(writer.as_mut(), nth))
                })
            })
            .collect();
        callers.into_iter().map(|it| it.join().unwrap()).collect()
    })
}
