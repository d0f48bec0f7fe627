//! The commit threads of a process: which there are, and what goes through which.
//!
//! Where writers work beside each other, batches go through [`Capabilities::writers`] threads, a
//! run's plans always through the same one, so that they stay in order. Beside them there is one
//! thread for calls (claims, wake-ups, operators), so that neither they nor batches wait for the
//! other, and one for the heartbeat, which waits for nothing of our own. A process that executes
//! nothing has one thread for starts and one for calls. One more tries what is set aside, and one
//! calls that wait for a lock, each over a session that is opened when there is something. Where
//! the database takes one writer at a time, all of them are one thread.
//!
//! What used to follow from there being one thread is said by rows and by memory instead: the fence turns away
//! plans of a run that a call took back, claims are compared with the worker that asked for them, and orphans
//! are disowned in memory before they are released (`engine::holdings`).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::BatchLimits;
use super::aside::Aside;
use super::desk::{Desk, Surroundings};
use super::patience::{Patience, wait_for_locks};
use super::pipeline::{Pipeline, try_aside};
use super::queue::Queue;
use super::reply;
use crate::record::RunId;
use crate::store::{Capabilities, Start, Store, StoreError, StoreErrorKind, StoreResult, Writer};

/// Neighbours in a branch are neighbours on the database's pages, too: they share a thread.
const NEIGHBOURS_LOG2: u32 = 4;

/// One queue per thread.
pub(super) struct Queues {
    plans: Vec<Arc<Queue>>,
    control: Arc<Queue>,
    liveness: Arc<Queue>,
    all: Arc<[Arc<Queue>]>,
    aside: Arc<Aside>,
    patience: Arc<Patience>,
}

impl Queues {
    fn new(capabilities: Capabilities, executes: bool, limits: BatchLimits) -> Self {
        let queue = || Arc::new(Queue::new(limits));
        let aside = Arc::new(Aside::new(limits.pause_max));
        if !capabilities.parallel_writes {
            let only = queue();
            return Self {
                plans: vec![Arc::clone(&only)],
                control: Arc::clone(&only),
                liveness: Arc::clone(&only),
                all: Arc::new([only]),
                aside,
                patience: Arc::default(),
            };
        }
        let writers = if executes { capabilities.writers } else { 1 };
        let plans: Vec<_> = (0..writers.max(1)).map(|_| queue()).collect();
        let control = queue();
        let liveness = if executes {
            queue()
        } else {
            Arc::clone(&control)
        };
        let mut all = plans.clone();
        all.push(Arc::clone(&control));
        if executes {
            all.push(Arc::clone(&liveness));
        }
        Self {
            all: all.into(),
            aside,
            patience: Arc::default(),
            plans,
            control,
            liveness,
        }
    }

    /// The queue of a run's plans: always the same.
    pub(super) fn of_run(&self, run: RunId) -> &Queue {
        let at = run.0.unsigned_abs() >> NEIGHBOURS_LOG2;
        &self.plans[(at % self.plans.len() as u64) as usize]
    }

    /// The queue of a start.
    pub(super) fn of_start(&self, start: &Start) -> &Queue {
        let mut hasher = DefaultHasher::new();
        (&start.workflow, &start.key).hash(&mut hasher);
        &self.plans[(hasher.finish() % self.plans.len() as u64) as usize]
    }

    pub(super) fn control(&self) -> &Queue {
        &self.control
    }

    pub(super) fn liveness(&self) -> &Queue {
        &self.liveness
    }

    pub(super) fn plans(&self) -> impl Iterator<Item = &Queue> {
        self.plans.iter().map(|queue| &**queue)
    }

    /// Ends every thread now.
    pub(super) fn halt(&self) {
        self.all().for_each(Queue::halt);
        self.aside.halt();
        self.patience.halt();
    }

    /// What no queue holds any more, and is not written yet.
    pub(super) fn aside(&self) -> &Aside {
        &self.aside
    }

    /// What waits for a lock of somebody else.
    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Queue> {
        self.all.iter().map(|queue| &**queue)
    }

    fn name_of(&self, queue: &Arc<Queue>) -> String {
        let at = |other: &Arc<Queue>| Arc::ptr_eq(queue, other);
        match self.plans.iter().position(at) {
            Some(0) => "chrono-forge-commit".to_owned(),
            // The kernel shows 15 letters, so the number would be lost behind a longer name.
            Some(n) => format!("chrono-forge-{}", n + 1),
            None if at(&self.control) => "chrono-forge-control".to_owned(),
            None => "chrono-forge-liveness".to_owned(),
        }
    }
}

/// Starts every thread, each over a writer of its own.
pub(super) fn start(
    store: &Arc<dyn Store>,
    executes: bool,
    limits: BatchLimits,
    surround: impl FnOnce(Arc<[Arc<Queue>]>, Arc<Aside>, Arc<Patience>) -> Surroundings,
    runtime: &tokio::runtime::Handle,
) -> StoreResult<(Queues, Vec<JoinHandle<()>>)> {
    let queues = Queues::new(store.capabilities(), executes, limits);
    let around = surround(
        Arc::clone(&queues.all),
        Arc::clone(&queues.aside),
        Arc::clone(&queues.patience),
    );
    // All are opened before the first one starts, so that nothing is left behind by a failure.
    let writers = queues.all.iter().map(|queue| {
        let is_of_plans = queues.plans.iter().any(|other| Arc::ptr_eq(queue, other));
        match is_of_plans {
            true => store.batch_writer(),
            false if Arc::ptr_eq(&queues.control, queue) => store.call_writer(),
            false => store.heartbeat_writer(),
        }
    });
    let writers: Vec<Box<dyn Writer>> = writers.collect::<StoreResult<_>>()?;
    let desk = |queue: &Arc<Queue>| Desk::new(around.clone(), Arc::clone(queue), runtime.clone());
    let is_alone = !store.capabilities().parallel_writes;
    let mut threads = Vec::with_capacity(writers.len() + 1);
    for (queue, writer) in queues.all.iter().zip(writers) {
        let pipeline = Pipeline::new(Arc::clone(queue), writer, desk(queue), is_alone);
        let thread = spawn(queues.name_of(queue), &around, move || pipeline.run());
        threads.push(thread.inspect_err(|_| queues.halt())?);
    }
    if executes && !is_alone {
        let (desk, store) = (desk(&queues.plans[0]), Arc::clone(store));
        let name = "chrono-forge-aside".to_owned();
        let thread = spawn(name, &around, move || try_aside(desk, || store.writer()));
        threads.push(thread.inspect_err(|_| queues.halt())?);
    }
    if !is_alone {
        queues.patience.begin();
        let (desk, store) = (desk(&queues.control), Arc::clone(store));
        let name = "chrono-forge-patient".to_owned();
        let thread = spawn(name, &around, move || {
            wait_for_locks(&desk, || store.writer())
        });
        threads.push(thread.inspect_err(|_| queues.halt())?);
    }
    Ok((queues, threads))
}

fn spawn(
    name: String,
    around: &Surroundings,
    work: impl FnOnce() + Send + 'static,
) -> StoreResult<JoinHandle<()>> {
    let around = around.clone();
    let thread = std::thread::Builder::new().name(name);
    let thread = thread.spawn(move || watch(around, work));
    thread.map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))
}

/// Runs a commit thread, or what it has others do. If that panics all of them end: runs whose plans are never answered
/// would wait for ever, in a process that goes on telling others that it is alive.
pub(super) fn watch(around: Surroundings, work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        // First the reason, then those who ask for it.
        around.observer.died(panic);
        around.halt();
        reply::let_go();
    }
}
