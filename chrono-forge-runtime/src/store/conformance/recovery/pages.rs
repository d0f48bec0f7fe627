//! The walk over everything that is blocked.

use super::*;
use crate::store::BlockedPage;
use crate::store::conformance::backend::Backend;

pub(crate) fn pages_walk_the_blocked_runs_once_each(on: &dyn Backend) {
    let mut forge = Forge::on(on);
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
    let states = forge.lines("state, wake_at", "chrono_forge_workflows ORDER BY id");
    let due = format!("0 {}", since(20).unwrap().to_micros());
    assert_eq!(states, [&due, "3 -", &due, "3 -", &due]);
    assert_eq!(forge.blocked(), 2);
    let armed = forge.lines("state", "chrono_forge_execution_logs ORDER BY workflow_id");
    assert_eq!(armed, ["0", "2", "0", "2", "0"]);
}

pub(crate) fn a_page_leaves_out_what_was_blocked_later_and_knows_the_newest_class(
    on: &dyn Backend,
) {
    let mut forge = Forge::on(on);
    let run = forge.ended("p", vec![gave_up("step$a", 1)], stalled("step$a"));
    let now = forge.database.instant(at(3));
    for attempt in [1, 2] {
        forge.edit(&format!(
            "INSERT INTO chrono_forge_error_logs
                (workflow_id, step_name, attempt, error_class, error_message, created_at)
            VALUES ({run}, 'step$a', {attempt}, 'E{attempt}', 'm', {now})"
        ));
    }
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

pub(crate) fn pages_of_one_branch_leave_other_blocked_runs_alone(on: &dyn Backend) {
    let mut forge = Forge::on(on);
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
