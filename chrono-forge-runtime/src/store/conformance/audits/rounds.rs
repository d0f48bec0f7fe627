//! Whose turn it is, what is recorded, and what is forgotten.

use super::*;
use crate::store::conformance::backend::Backend;
use crate::store::{AuditRequest, AuditScope};

fn due(limit: u32) -> AuditRequest<'static> {
    AuditRequest {
        scope: AuditScope::Due {
            limit,
            children_max: 1_000,
        },
        lease_until: at(600),
    }
}

fn finding(claim: &AuditClaim, pending: u64) -> AuditFinding {
    AuditFinding {
        branch: claim.branch,
        round: claim.round,
        sample: BranchSample {
            at: at(50),
            spawned: 3,
            pending,
        },
        never_started: 1,
        rate_micros: Some(500_000),
        next_at: at(60),
        is_over: pending == 0,
    }
}

/// A round of one branch.
fn round(forge: &mut Forge, branch: RecordId) -> AuditClaim {
    forge
        .writer
        .enter_audits(&[branch], at(30), at(20))
        .unwrap();
    let claims = forge.writer.claim_audits(&due(9), at(30)).unwrap();
    assert_eq!(claims.len(), 1);
    claims[0]
}

fn state(forge: &Forge, parent: &ClaimedRun) -> BranchState {
    let mut states = forge.store.branch_states(parent.id, 9).unwrap();
    assert_eq!(states.len(), 1);
    states.remove(0).1
}

pub(crate) fn branches_are_found_page_by_page_once_they_are_old_enough(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let mut branches = Vec::new();
    for index in 0..5 {
        let parent = forge.running(&format!("p{index}"));
        let mut dispatch = dispatch(1, true);
        dispatch.children[0].key = format!("p{index}$b$s");
        let plan = Plan {
            dispatches: vec![dispatch],
            ..forge.plan(&parent)
        };
        forge.apply(&plan);
        branches.push(forge.store.branch_states(parent.id, 9).unwrap()[0].0);
    }
    let work = |after, opened_by| {
        let store = &forge.store;
        store.audit_work(after, 3, opened_by, at(99)).unwrap()
    };
    let young = work(RecordId(0), at(0));
    assert_eq!((young.unaudited, young.next_at), (vec![], None));
    let first = work(RecordId(0), at(1));
    assert_eq!(first.unaudited, branches[..3]);
    assert_eq!(first.resume_after, branches[2]);
    // Opened by a clock that was set back since.
    let ahead = forge.store.audit_work(RecordId(0), 3, at(-9), at(0));
    assert_eq!(ahead.unwrap().unaudited, branches[..3]);
    let rest = work(first.resume_after, at(1));
    assert_eq!(rest.unaudited, branches[3..]);
    assert_eq!(rest.resume_after, RecordId(0));
    let mut forge = forge;
    forge
        .writer
        .enter_audits(&branches[1..4], at(30), at(20))
        .unwrap();
    let left = forge
        .store
        .audit_work(RecordId(0), 9, at(1), at(99))
        .unwrap();
    assert_eq!(left.unaudited, [branches[0], branches[4]]);
    assert_eq!((left.next_at, left.last_at), (Some(at(30)), Some(at(30))));
}

pub(crate) fn one_of_two_processes_takes_a_round(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (_, _, branch) = waiting(&mut forge, 3);
    let mut second = forge.other_writer();
    let claim = round(&mut forge, branch);
    assert!(second.claim_audits(&due(9), at(30)).unwrap().is_empty());
    // The first one died; the lease is over.
    let next = second.claim_audits(&due(9), at(600)).unwrap();
    assert_eq!((next.len(), next[0].round), (1, claim.round + 1));
    assert_eq!(next[0].before, claim.before);
    // It did not, and is late.
    forge
        .writer
        .record_audits(&[finding(&claim, 2)], at(601))
        .unwrap();
    let recorded = "chrono_forge_audits WHERE audited_at IS NOT NULL";
    assert_eq!(forge.count(recorded), 0);
    let over = AuditFinding {
        is_over: true,
        ..finding(&claim, 2)
    };
    forge.writer.record_audits(&[over], at(601)).unwrap();
    assert_eq!(audits(&forge), 1);
    second
        .record_audits(&[finding(&next[0], 2)], at(601))
        .unwrap();
    assert_eq!(forge.count(recorded), 1);
}

pub(crate) fn the_longest_due_go_first_and_a_large_branch_goes_alone(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (_, _, branch) = waiting(&mut forge, 3);
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for index in 0..4 {
        let parent = forge.running(&format!("q{index}"));
        let mut dispatch = dispatch(1, true);
        dispatch.children[0].key = format!("q{index}$b$s");
        let plan = Plan {
            dispatches: vec![dispatch],
            ..forge.plan(&parent)
        };
        forge.apply(&plan);
        small.push(forge.store.branch_states(parent.id, 9).unwrap()[0].0);
    }
    large.push(branch);
    forge.writer.enter_audits(&large, at(21), at(20)).unwrap();
    forge.writer.enter_audits(&small, at(22), at(20)).unwrap();
    let mut taken = |children_max| {
        let request = AuditRequest {
            scope: AuditScope::Due {
                limit: 3,
                children_max,
            },
            lease_until: at(600),
        };
        let claims = forge.writer.claim_audits(&request, at(30)).unwrap();
        claims
            .into_iter()
            .map(|claim| claim.branch)
            .collect::<Vec<_>>()
    };
    assert_eq!(taken(2), large);
    assert_eq!(taken(2), small[..2]);
    assert_eq!(taken(9), small[2..]);
    assert!(taken(9).is_empty());
}

pub(crate) fn a_result_is_told_until_the_branch_is_over(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (parent, children, branch) = waiting(&mut forge, 3);
    let fresh = state(&forge, &parent);
    assert_eq!((&*fresh.name, fresh.sealed), ("b", true));
    assert_eq!((fresh.spawned, fresh.pending, fresh.blocked), (3, 3, 0));
    assert_eq!((fresh.audited_at, fresh.never_started), (None, None));
    let claim = round(&mut forge, branch);
    forge
        .writer
        .record_audits(&[finding(&claim, 2)], at(50))
        .unwrap();
    let told = state(&forge, &parent);
    assert_eq!(
        (told.audited_at, told.never_started),
        (Some(at(50)), Some(1))
    );
    assert_eq!(told.rate, Some(0.5));
    assert_eq!(told.eta, Some(std::time::Duration::from_secs(4)));
    let again = forge.writer.claim_audits(&due(9), at(60)).unwrap();
    assert_eq!(again[0].before, finding(&claim, 2).sample);
    for child in &children {
        forge.end(child, done("1"));
    }
    let over = BranchState {
        pending: 0,
        ..fresh
    };
    assert_eq!(audits(&forge), 1, "until the next audit");
    assert_eq!(state(&forge, &parent), over);
    forge
        .writer
        .record_audits(&[finding(&again[0], 0)], at(61))
        .unwrap();
    assert_eq!(audits(&forge), 0);
    assert_eq!(state(&forge, &parent), over);
}

pub(crate) fn a_branch_that_was_repaired_is_remembered_and_can_open_again(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (parent, children, branch) = waiting(&mut forge, 1);
    let claim = round(&mut forge, branch);
    corrupt(&forge, 0);
    forge.writer.recount_branch(branch, at(31)).unwrap();
    forge.end(&children[0], done("1"));
    forge
        .writer
        .record_audits(&[finding(&claim, 0)], at(32))
        .unwrap();
    assert_eq!(state(&forge, &parent).repairs, 1);
    let work = forge
        .store
        .audit_work(RecordId(0), 9, at(99), at(99))
        .unwrap();
    assert_eq!((work.unaudited, work.next_at), (vec![], None));
    corrupt(&forge, 1);
    let work = forge
        .store
        .audit_work(RecordId(0), 9, at(99), at(99))
        .unwrap();
    assert_eq!(work.unaudited, [branch]);
    let claim = round(&mut forge, branch);
    assert_eq!((claim.round, claim.before.pending), (2, 1));
}

pub(crate) fn a_named_audit_is_taken_whether_or_not_it_is_due(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (_, _, branch) = waiting(&mut forge, 3);
    let claim = round(&mut forge, branch);
    let request = AuditRequest {
        scope: AuditScope::Of(&[branch]),
        lease_until: at(700),
    };
    let named = forge.writer.claim_audits(&request, at(31)).unwrap();
    assert_eq!((named.len(), named[0].round), (1, claim.round + 1));
    assert_eq!(named[0].before, claim.before, "the sample stays");
}

pub(crate) fn a_branch_whose_row_is_gone_is_forgotten(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (_, _, branch) = waiting(&mut forge, 3);
    let claim = round(&mut forge, branch);
    forge.edit("DELETE FROM chrono_forge_execution_logs WHERE step_name = 'branch$b'");
    forge
        .writer
        .record_audits(&[finding(&claim, 0)], at(40))
        .unwrap();
    assert_eq!(audits(&forge), 0);
}

/// Children done, wake-up lost.
fn stranded(forge: &mut Forge) -> (ClaimedRun, AuditClaim) {
    let (parent, children, branch) = waiting(forge, 2);
    let claim = round(forge, branch);
    for child in &children {
        forge.end(child, done("1"));
    }
    forge.edit("UPDATE chrono_forge_workflows SET wake_at = NULL WHERE key = 'p'");
    (parent, claim)
}

pub(crate) fn a_parent_whose_wake_up_was_lost_is_woken_once(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (parent, claim) = stranded(&mut forge);
    let over = finding(&claim, 0);
    let woken = forge.writer.record_audits(&[over], at(40)).unwrap();
    assert_eq!(woken, [parent.id]);
    assert_eq!(forge.row(parent.id).wake_at, since(40));
    let again = forge.writer.record_audits(&[over], at(41)).unwrap();
    assert!(again.is_empty(), "it is due already");
    assert_eq!(audits(&forge), 0);
}

pub(crate) fn a_running_parent_is_looked_at_again(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let (parent, children, branch) = waiting(&mut forge, 1);
    let claim = round(&mut forge, branch);
    forge.end(&children[0], done("1"));
    let parent = forge
        .claim(at(11))
        .into_iter()
        .find(|run| run.id == parent.id);
    let before = rows(&forge);
    let woken = forge.writer.record_audits(&[finding(&claim, 0)], at(40));
    assert!(woken.unwrap().is_empty());
    assert_eq!(rows(&forge), before);
    let work = forge
        .store
        .audit_work(RecordId(0), 9, at(99), at(99))
        .unwrap();
    assert_eq!(work.next_at, Some(at(60)));
    let merged = Plan {
        records: vec![Record {
            state: RecordState::Completed,
            ..record("merge$b")
        }],
        ..forge.plan(&parent.unwrap())
    };
    forge.apply(&merged);
    let again = forge.writer.claim_audits(&due(9), at(60)).unwrap();
    forge
        .writer
        .record_audits(&[finding(&again[0], 0)], at(61))
        .unwrap();
    assert_eq!(audits(&forge), 0);
}

pub(crate) fn a_parent_that_waits_for_something_else_is_left_alone(on: &dyn Backend) {
    for merge in ["merge$b,c", "merge$bc"] {
        let mut forge = Forge::on(on);
        let (parent, claim) = stranded(&mut forge);
        // It waits for a second branch beside this one, or for another one alone.
        forge.edit(&format!(
            "UPDATE chrono_forge_execution_logs SET step_name = '{merge}'
                WHERE step_name = 'merge$b'"
        ));
        let open = &merge[merge.len() - if merge.contains(',') { 1 } else { 2 }..];
        forge.edit(&format!(
            "INSERT INTO chrono_forge_execution_logs (workflow_id, step_name, state)
                VALUES ({}, 'branch${open}', 0)",
            parent.id
        ));
        let before = rows(&forge);
        let woken = forge.writer.record_audits(&[finding(&claim, 0)], at(40));
        assert!(woken.unwrap().is_empty(), "{merge}");
        assert_eq!(rows(&forge), before);
        assert_eq!(audits(&forge), 0);
    }
}
