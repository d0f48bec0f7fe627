//! Operators and auditors against commits.

use super::*;
use crate::store::conformance::backend::Backend;

const ROUGH: Plot = Plot {
    failing: 40,
    ..FAMILIES
};

/// Every key of a top-level run, and of its first children and grandchildren.
fn some_run(random: &mut fastrand::Rng) -> (&'static str, String) {
    let root = format!("p{}", random.u32(..ROUGH.roots));
    let child = format!("{root}$b$s${}", random.u32(..6));
    match random.u32(..3) {
        0 => ("flow", root),
        1 => ("child", child),
        _ => ("child", format!("{child}$b$s${}", random.u32(..4))),
    }
}

fn branches(store: &dyn Store) -> Vec<RecordId> {
    let mut found = Vec::new();
    let mut after = RecordId(0);
    loop {
        let work = insist(|| store.audit_work(after, 50, at(99), at(99)));
        found.extend(work.unaudited);
        after = work.resume_after;
        if after == RecordId(0) {
            return found;
        }
    }
}

pub(crate) fn retries_and_wake_ups_by_hand_meet_commits(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let mut random = fastrand::Rng::with_seed(11);
    play(&mut forge, ROUGH, |_, writer| {
        let (workflow, key) = some_run(&mut random);
        match random.u32(..4) {
            0 => drop(insist(|| writer.retry(workflow, &key, None, at(50)))),
            1 => drop(insist(|| writer.reset_crashes(workflow, &key, at(50)))),
            2 => drop(insist(|| writer.wake(workflow, &key, at(50)))),
            _ => {
                let page = BlockedPage {
                    filter: &RetryFilter::new(),
                    branch: None,
                    after: RunId(0),
                    until: at(60),
                    limit: 3,
                };
                insist(|| writer.retry_blocked(&page, at(50)));
            }
        }
    });
}

pub(crate) fn runs_are_unlocked_under_the_hands_of_their_workers(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let mut random = fastrand::Rng::with_seed(12);
    // Each takes a pass its work; without a bound nobody would get to an end.
    let mut unlocks = 0;
    play(&mut forge, ROUGH, |_, writer| {
        let (workflow, key) = some_run(&mut random);
        if unlocks < 150 {
            let found = insist(|| writer.unlock(workflow, &key, at(50)));
            unlocks += u32::from(found.is_some_and(|found| found.state == RunState::Running));
        }
        std::thread::yield_now();
    });
}

pub(crate) fn a_recount_among_commits_finds_every_counter_right(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    play(&mut forge, ROUGH, |store, writer| {
        for branch in branches(store) {
            if let Some(recount) = insist(|| writer.recount_branch(branch, at(50))) {
                assert!(!recount.repaired, "{recount:?}");
            }
        }
    });
}

/// An auditor follows every branch until it is over, and by then nobody waits for it.
pub(crate) fn audits_among_commits_come_to_an_end(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let audit = |store: &dyn Store, writer: &mut dyn Writer| {
        insist(|| writer.enter_audits(&branches(store), at(50), at(50)));
        let request = AuditRequest {
            scope: AuditScope::Due {
                limit: 10,
                children_max: 1_000,
            },
            lease_until: at(50),
        };
        let claims = insist(|| writer.claim_audits(&request, at(50)));
        let finding = |claim: &AuditClaim| {
            let counters = insist(|| store.branch_counters(claim.branch)).unwrap();
            AuditFinding {
                branch: claim.branch,
                round: claim.round,
                sample: BranchSample {
                    at: at(50),
                    spawned: counters.spawned,
                    pending: counters.pending,
                },
                never_started: 0,
                rate_micros: None,
                next_at: at(50),
                is_over: counters.sealed && counters.pending == 0,
            }
        };
        let findings: Vec<AuditFinding> = claims.iter().map(finding).collect();
        insist(|| writer.record_audits(&findings, at(50)));
    };
    play(&mut forge, ROUGH, |store, writer| audit(store, writer));
    let store = std::sync::Arc::clone(&forge.store);
    while forge.count("chrono_forge_audits") > 0 {
        audit(&*store, forge.writer.as_mut());
    }
    assert_eq!(
        forge.count("chrono_forge_workflows WHERE wake_at IS NOT NULL"),
        0
    );
}
