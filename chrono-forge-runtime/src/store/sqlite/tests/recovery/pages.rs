//! The walk over everything that is blocked.

use super::*;
use crate::store::BlockedPage;

#[test]
fn pages_walk_the_blocked_runs_once_each() {
    let mut forge = Forge::new();
    for n in 0..5 {
        let end = if n % 2 == 0 {
            stalled("step$a")
        } else {
            failed(1)
        };
        forge.ended(&format!("p{n}"), vec![gave_up("step$a", 1)], end);
    }
    let filter = RetryFilter::new().stalled();
    let mut after = RunId(0);
    let mut seen = Vec::new();
    loop {
        let page = BlockedPage {
            filter: &filter,
            branch: None,
            after,
            until: at(4),
            limit: 2,
        };
        let page = forge.writer.retry_blocked(&page, at(20)).unwrap();
        seen.push(page.retried);
        match page.last {
            Some(last) => after = last,
            None => break,
        }
    }
    assert_eq!(seen, [1, 1, 1, 0]);
    let states = forge.text(
        "SELECT state || (wake_at IS NOT NULL) AS text FROM chrono_forge_workflows ORDER BY id",
    );
    let states: Vec<_> = states.into_iter().flatten().collect();
    assert_eq!(states, ["01", "30", "01", "30", "01"]);
    assert_eq!(forge.blocked(), 2);
    let armed =
        forge.text("SELECT group_concat(state, '') AS text FROM chrono_forge_execution_logs");
    assert_eq!(armed[0].as_deref(), Some("02020"));
}

#[test]
fn a_page_leaves_out_what_was_blocked_later_and_knows_the_newest_class() {
    let mut forge = Forge::new();
    let run = forge.ended("p", vec![gave_up("step$a", 1)], stalled("step$a"));
    forge.text("INSERT INTO chrono_forge_error_logs (workflow_id, step_name, attempt, error_class, error_message, created_at) SELECT w.id, 'step$a', n.value, 'E' || n.value, 'm', 1 FROM chrono_forge_workflows AS w, json_each('[1,2]') AS n RETURNING '' AS text");
    let retried = |filter: &RetryFilter, until, forge: &mut Forge| {
        let page = BlockedPage {
            filter,
            branch: None,
            after: RunId(0),
            until: at(until),
            limit: 10,
        };
        let page = forge.writer.retry_blocked(&page, at(20)).unwrap();
        assert_eq!(page.last, Some(run));
        page.retried
    };
    assert_eq!(retried(&RetryFilter::new(), 3, &mut forge), 0);
    assert_eq!(
        retried(&RetryFilter::new().error_class("E1"), 4, &mut forge),
        0
    );
    assert_eq!(
        retried(&RetryFilter::new().error_class("E2"), 4, &mut forge),
        1
    );
}

#[test]
fn pages_of_one_branch_leave_other_blocked_runs_alone() {
    let mut forge = Forge::new();
    let parent = forge.running("p");
    let children = forge.branch(&parent, 5);
    for child in &children[..4] {
        forge.end(child, failed(1));
    }
    forge.ended("other", Vec::new(), failed(1));
    let branch = forge.store.branches_of(parent.id).unwrap();
    assert_eq!(branch, [children[0].parent.unwrap()]);
    let filter = RetryFilter::new();
    let mut after = RunId(0);
    let mut seen = Vec::new();
    loop {
        let page = BlockedPage {
            filter: &filter,
            branch: Some(branch[0]),
            after,
            until: at(4),
            limit: 3,
        };
        let page = forge.writer.retry_blocked(&page, at(20)).unwrap();
        seen.push(page.retried);
        match page.last {
            Some(last) => after = last,
            None => break,
        }
    }
    assert_eq!(seen, [3, 1, 0]);
    assert_eq!(forge.blocked(), 1);
}
