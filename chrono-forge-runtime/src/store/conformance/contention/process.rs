//! One process: claims what is due, carries it on by a plan at a time, and hands in many plans at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Stage, insist};
use crate::record::*;
use crate::store::conformance::fixture::*;
use crate::store::*;

/// The most plans of a batch.
const BATCH: usize = 16;

pub(super) struct Process<'a> {
    stage: &'a Stage<'a>,
    store: Arc<dyn Store>,
    writer: Box<dyn Writer>,
    worker: WorkerId,
    held: BTreeMap<RunId, ClaimedRun>,
    random: fastrand::Rng,
}

impl<'a> Process<'a> {
    pub(super) fn new(store: Arc<dyn Store>, stage: &'a Stage<'a>, nth: u64) -> Self {
        let mut writer = store.writer().unwrap();
        Self {
            worker: insist(|| enter(writer.as_mut())),
            store,
            writer,
            stage,
            held: BTreeMap::new(),
            random: fastrand::Rng::with_seed(nth),
        }
    }

    /// Works until there is nothing left that anybody could do.
    pub(super) fn work(mut self) {
        loop {
            self.stage.check_patience();
            self.claim();
            if self.held.is_empty() && self.is_over() {
                return;
            }
            self.apply();
            if self.random.u32(..8) == 0 || self.held.is_empty() {
                self.beat();
            }
        }
    }

    fn loses_reply(&mut self) -> bool {
        self.random.u32(..100) < self.stage.plot.replies_lost
    }

    fn claim(&mut self) {
        let room = [room(self.random.u32(1..12))];
        let workflows = names(&["flow", "child"]);
        let request = ClaimRequest {
            worker: self.worker,
            now: at(50),
            queues: &room,
            workflows: &workflows,
            lowest_first: self.random.bool(),
            quarantine_slot: true,
            quarantine_from: u32::MAX,
            company: Suspects::none(LIMITS),
        };
        let claims = insist(|| self.writer.claim_due(&request));
        if claims.worker_dead {
            self.enter_anew();
        } else if !self.loses_reply() {
            self.hold(claims.runs);
        }
    }

    fn hold(&mut self, runs: Vec<ClaimedRun>) {
        self.held.extend(runs.into_iter().map(|run| (run.id, run)));
    }

    fn enter_anew(&mut self) {
        self.held.clear();
        self.worker = insist(|| enter(self.writer.as_mut()));
    }

    /// Hands in the next plans of some of the runs, in any order.
    fn apply(&mut self) {
        let mut runs: Vec<ClaimedRun> = self.held.values().cloned().collect();
        self.random.shuffle(&mut runs);
        runs.truncate(self.random.usize(1..=BATCH));
        let plans: Vec<Plan> = runs.iter().map(|run| self.plan(run)).collect();
        if plans.is_empty() {
            return;
        }
        let mut applied = insist(|| self.writer.apply(&plans, at(50)));
        self.count(&plans, &applied);
        if self.loses_reply() {
            // The same bytes once more, by another way.
            let mut other = insist(|| self.store.writer());
            applied = insist(|| other.apply(&plans, at(50)));
        }
        for (plan, outcome) in plans.iter().zip(applied.outcomes) {
            let is_fenced = outcome.verdict == Verdict::Fenced;
            if is_fenced || plan.end.is_some() {
                self.held.remove(&plan.fence.run);
            }
            assert!(is_fenced || is_applied(&outcome), "{:?}", outcome.verdict);
            self.hold(outcome.claimed);
        }
    }

    /// Counts the completions of plans that are applied for the first time.
    fn count(&self, plans: &[Plan], applied: &Applied) {
        let ends = plans.iter().zip(&applied.outcomes).filter(|(plan, it)| {
            matches!(plan.end, Some(RunEnd::Completed { .. })) && is_applied(it)
        });
        let ends = ends.count() as u64;
        self.stage.completed.fetch_add(ends, Ordering::Relaxed);
    }

    /// The next thing that a run wants written.
    fn plan(&mut self, run: &ClaimedRun) -> Plan {
        let generation = run.key.matches("$b$").count();
        let fence = Fence {
            run: run.id,
            worker: self.worker,
            epoch: run.epoch,
        };
        let plan = Plan::new(fence, run.parent);
        match self.stage.plot.children.get(generation) {
            Some(children) => self.parent(plan, run, *children),
            None => self.leaf(plan, run),
        }
    }

    fn leaf(&mut self, plan: Plan, run: &ClaimedRun) -> Plan {
        if run.epoch.claims() == 1 && self.random.u32(..100) < self.stage.plot.failing {
            let failed = RunEnd::Failed {
                at: at(40),
                attempts: run.attempts + 1,
                retry_counts: None,
            };
            let stalled = RunEnd::Stalled {
                attempts: None,
                step_name: "step$s1".into(),
                at: at(40),
            };
            let end = if self.random.bool() { failed } else { stalled };
            return Plan {
                errors: vec![error(None, run.attempts + 1, "e")],
                end: Some(end),
                ..plan
            };
        }
        match self.random.u32(..8) {
            0 => Plan {
                end: Some(RunEnd::Released { at: at(50) }),
                ..plan
            },
            1 => Plan {
                records: vec![record("step$s1")],
                ..plan
            },
            _ => completes(plan),
        }
    }

    /// Dispatches in two batches, seals, parks until all are done. What it has done already is in the rows.
    fn parent(&mut self, plan: Plan, run: &ClaimedRun, children: u32) -> Plan {
        let branches = insist(|| self.store.branches(run.id, &names(&["branch$b"])));
        let spawned = branches.first().map_or(0, |branch| branch.spawned);
        match branches.first() {
            // Heard, and looked at after that: the next plan reads the branch again.
            _ if self.random.u32(..6) == 0 => Plan {
                consumes_wake: true,
                ..plan
            },
            Some(branch) if branch.sealed && branch.pending == 0 => completes(plan),
            Some(branch) if branch.sealed => self.parks(plan),
            _ if spawned < u64::from(children) => {
                let upto = if spawned == 0 { children / 2 } else { children };
                Plan {
                    dispatches: vec![family(&run.key, upto, self.random.bool())],
                    ..plan
                }
            }
            // It parks by another plan: the branch is read again once the seal is there.
            _ => Plan {
                records: vec![Record {
                    state: RecordState::Completed,
                    ..record("branch$b")
                }],
                ..plan
            },
        }
    }

    fn parks(&self, mut plan: Plan) -> Plan {
        plan.records.push(record("merge$b"));
        plan.end = Some(parked(None));
        plan
    }

    /// Renews the lease and gives back what this process does not know to hold.
    fn beat(&mut self) {
        let held: Vec<(RunId, Epoch)> = self.held.values().map(known).collect();
        let beat = insist(|| self.writer.heartbeat(self.worker, &held, at(50)));
        if beat.worker_dead {
            return self.enter_anew();
        }
        for (run, _) in beat.lost {
            self.held.remove(&run);
        }
        let orphans = &beat.orphans;
        insist(|| self.writer.release_orphans(self.worker, orphans, at(50)));
    }

    /// Retries what has failed; then asks whether anything is held or due.
    fn is_over(&mut self) -> bool {
        let page = BlockedPage {
            filter: &RetryFilter::new(),
            branch: None,
            after: RunId(0),
            until: at(60),
            limit: 20,
        };
        let page = insist(|| self.writer.retry_blocked(&page, at(50)));
        page.last.is_none() && self.stage.is_quiet()
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stage.fell.store(true, Ordering::Relaxed);
        }
    }
}

fn is_applied(outcome: &PlanOutcome) -> bool {
    matches!(outcome.verdict, Verdict::Applied { .. })
}

fn completes(plan: Plan) -> Plan {
    Plan {
        records: vec![completed(1, "1")],
        end: Some(done("1")),
        ..plan
    }
}
