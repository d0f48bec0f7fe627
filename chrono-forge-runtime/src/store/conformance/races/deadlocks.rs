//! Two batches that need the same rows, named in opposite orders: each waits for the other unless a store takes
//! its locks in one order.

use super::*;

/// Parents that run, each with a sealed branch of two claimed children.
type Families = Vec<(ClaimedRun, Vec<ClaimedRun>)>;

fn families(forge: &mut Forge, key: &str) -> Families {
    let mut families = Families::new();
    for nth in 0..6 {
        let parent = forge.running(&format!("{key}.{nth}"));
        let plan = Plan {
            dispatches: vec![family(&parent.key, 2, true)],
            ..forge.plan(&parent)
        };
        let mut applied = forge.writer.apply(&[plan], at(1)).unwrap();
        forge.seal(&parent);
        families.push((parent, applied.outcomes.remove(0).claimed));
    }
    families
}

fn plan(run: &ClaimedRun, worker: WorkerId) -> Plan {
    let fence = Fence {
        run: run.id,
        worker,
        epoch: run.epoch,
    };
    Plan::new(fence, run.parent)
}

fn completes(run: &ClaimedRun, worker: WorkerId) -> Plan {
    Plan {
        end: Some(done("1")),
        ..plan(run, worker)
    }
}

fn apply(writer: &mut dyn Writer, plans: &[Plan]) {
    let applied = writer.apply(plans, at(10)).unwrap();
    for outcome in applied.outcomes {
        assert!(matches!(outcome.verdict, Verdict::Applied { .. }));
    }
}

/// Every family is complete, and its parent has heard of it.
fn all_are_told(forge: &mut Forge, families: &Families, (): (), (): ()) {
    for (parent, _) in families {
        assert_eq!(forge.counters(parent.id), (2, 0));
        assert!(forge.row(parent.id).wake_requested);
        forge.end(parent, done("1"));
    }
}

pub(crate) fn batches_that_count_the_same_branches(on: &dyn Backend) {
    let first = |writer: &mut dyn Writer, families: &Families, worker| {
        let plans = families.iter().map(|(_, it)| completes(&it[0], worker));
        apply(writer, &plans.collect::<Vec<_>>());
    };
    let second = |writer: &mut dyn Writer, families: &Families, worker| {
        let plans = families
            .iter()
            .rev()
            .map(|(_, it)| completes(&it[1], worker));
        apply(writer, &plans.collect::<Vec<_>>());
    };
    race(on, families, first, second, all_are_told);
}

/// What is a batch's own run is the other one's parent, whose last child it completes.
pub(crate) fn batches_whose_own_runs_are_the_parents_of_the_other(on: &dyn Backend) {
    let prepare = |forge: &mut Forge, key: &str| {
        let families = families(forge, key);
        for (_, children) in &families {
            forge.end(&children[0], done("1"));
        }
        families
    };
    let batch = |writer: &mut dyn Writer, families: &Families, worker, parity: usize| {
        let mut plans: Vec<Plan> = families
            .iter()
            .enumerate()
            .map(|(nth, (parent, children))| match nth % 2 == parity {
                true => completes(&children[1], worker),
                false => Plan {
                    records: vec![record("step$a")],
                    ..plan(parent, worker)
                },
            })
            .collect();
        if parity == 1 {
            plans.reverse();
        }
        apply(writer, &plans);
    };
    race(
        on,
        prepare,
        |writer, families, worker| batch(writer, families, worker, 0),
        |writer, families, worker| batch(writer, families, worker, 1),
        all_are_told,
    );
}

/// Parents dispatch to, and seal, branches whose children are completed by the other batch.
pub(crate) fn batches_that_dispatch_beside_those_that_count(on: &dyn Backend) {
    let first = |writer: &mut dyn Writer, families: &Families, worker| {
        let longer = |(parent, _): &(ClaimedRun, Vec<ClaimedRun>)| Plan {
            dispatches: vec![family(&parent.key, 3, false)],
            ..plan(parent, worker)
        };
        apply(
            writer,
            &families.iter().rev().map(longer).collect::<Vec<_>>(),
        );
    };
    let second = |writer: &mut dyn Writer, families: &Families, worker| {
        let plans = families.iter().flat_map(|(_, children)| children);
        let plans = plans.map(|child| completes(child, worker));
        apply(writer, &plans.collect::<Vec<_>>());
    };
    race(on, families, first, second, |forge, families, (), ()| {
        for (parent, _) in families {
            assert_eq!(forge.counters(parent.id), (3, 1));
        }
        for run in forge.claim(at(20)) {
            forge.end(&run, done("1"));
        }
        all_of(forge, families);
    });
}

fn all_of(forge: &mut Forge, families: &Families) {
    for (parent, _) in families {
        assert_eq!(forge.counters(parent.id), (3, 0));
        assert!(forge.row(parent.id).wake_requested);
        forge.end(parent, done("1"));
    }
}

/// A page of retries locks many blocked runs while a batch fails and completes their neighbours.
pub(crate) fn a_page_of_retries_beside_commits_of_the_same_families(on: &dyn Backend) {
    let prepare = |forge: &mut Forge, key: &str| {
        let families = families(forge, key);
        for (_, children) in families.iter().rev() {
            forge.end(&children[0], stalled_end());
        }
        families
    };
    let retry = |writer: &mut dyn Writer, _: &Families, _: WorkerId| {
        let page = BlockedPage {
            branch: None,
            filter: &RetryFilter::new(),
            after: RunId(0),
            until: at(60),
            limit: 100,
        };
        writer.retry_blocked(&page, at(20)).unwrap().retried
    };
    let commit = |writer: &mut dyn Writer, families: &Families, worker| {
        let plans = families.iter().rev().flat_map(|(parent, children)| {
            let own = Plan {
                records: vec![record("step$a")],
                ..plan(parent, worker)
            };
            [completes(&children[1], worker), own]
        });
        apply(writer, &plans.collect::<Vec<_>>());
    };
    race(
        on,
        prepare,
        retry,
        commit,
        |forge, families, retried, ()| {
            assert_eq!(retried, families.len() as u64);
            for run in forge.claim(at(20)) {
                forge.end(&run, done("1"));
            }
            all_are_told(forge, families, (), ());
        },
    );
}
