//! A pipeline over a store that waits where it is told to.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::fake::{Fake, Gate};
use super::{HANGS, now};
use crate::clock::SystemClock;
use crate::commit::*;
use crate::record::{Epoch, Fence, Incarnation, RunId, WorkerId};
use crate::store::conformance::fixture::ByKey as _;

struct Nobody;

impl CommitObserver for Nobody {
    fn died(&self, _panic: Box<dyn std::any::Any + Send>) {}

    fn committed(&self, _: &[Plan], _: &Applied) {}
}

struct Told(RunId, Sender<(RunId, u64)>);

impl PlanSink for Told {
    fn settled(self: Arc<Self>, through: u64, _: PlanOutcome) {
        self.1.send((self.0, through)).unwrap();
    }
}

/// A pipeline with somebody who is told what is settled.
pub(super) struct Bench {
    pub(super) gate: Arc<Gate>,
    pub(super) committer: Committer,
    pub(super) threads: Vec<JoinHandle<()>>,
    teller: Sender<(RunId, u64)>,
    pub(super) told: Receiver<(RunId, u64)>,
}

impl Bench {
    pub(super) fn new(writers: u32) -> Self {
        Self::of(writers, true)
    }

    pub(super) fn of(writers: u32, executes: bool) -> Self {
        let limits = BatchLimits {
            plans_max: 1,
            ..BatchLimits::default()
        };
        Self::within(limits, writers, executes)
    }

    pub(super) fn within(limits: BatchLimits, writers: u32, executes: bool) -> Self {
        let store = Fake::new(writers);
        let gate = Arc::clone(&store.gate);
        let (teller, told) = channel();
        let (committer, threads) = opened(store, limits, executes, Arc::default());
        Self {
            gate,
            committer,
            threads,
            teller,
            told,
        }
    }

    /// Submits a plan that its fence turns away, which a settled plan is as well.
    pub(super) fn submit(&self, run: i64, number: u64) {
        let fence = Fence {
            run: RunId(run),
            worker: WorkerId(1, Incarnation(0)),
            epoch: Epoch(1),
        };
        let sink = Told(fence.run, self.teller.clone());
        let plan = Plan::new(fence, None);
        self.committer.submit(plan, number, true, Arc::new(sink));
    }

    pub(super) fn await_settled(&self) -> (RunId, u64) {
        self.told.recv_timeout(HANGS).unwrap()
    }

    /// The thread that the plans of this run go through.
    pub(super) fn thread_of(&self, run: i64) -> String {
        let passed = self.gate.passed("apply").into_iter();
        let mut threads: Vec<String> = passed
            .filter(|(_, of)| *of == Some(RunId(run)))
            .map(|(thread, _)| thread)
            .collect();
        threads.dedup();
        assert_eq!(threads.len(), 1, "{threads:?}");
        threads.remove(0)
    }

    pub(super) async fn call(&self) {
        let call = self.committer.call("wake", |w| w.wake("w", "k", now()));
        tokio::time::timeout(HANGS, call).await.unwrap().unwrap();
    }

    pub(super) async fn beat(&self) {
        let beat = |w: &mut dyn Writer| w.heartbeat(WorkerId(1, Incarnation(0)), &[], now());
        let beat = self.committer.call_alive("heartbeat", beat);
        tokio::time::timeout(HANGS, beat).await.unwrap().unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.gate.lock(&[]);
        for name in ["apply", "wake", "start", "reset_crashes"] {
            self.gate.open(name);
        }
        self.gate.fail_above(usize::MAX);
        self.committer.close();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

pub(super) fn opened(
    store: Fake,
    limits: BatchLimits,
    executes: bool,
    failpoints: Arc<Failpoints>,
) -> (Committer, Vec<JoinHandle<()>>) {
    let store: Arc<dyn Store> = Arc::new(store);
    Committer::open(
        &store,
        executes,
        limits,
        Arc::new(SystemClock),
        Arc::new(Nobody),
        failpoints,
        &tokio::runtime::Handle::current(),
    )
    .unwrap()
}
