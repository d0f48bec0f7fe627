//! A branch whose counter is torn while its last child is under way, so that nothing but an audit lets
//! the parent go on: no crash around an audit's commits loses the repair or makes another of it.

use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::{Probe, Site};

use crate::sweep::Subject;

/// One child too many, as long as the row takes it.
const TEAR: &str = "UPDATE chrono_forge_execution_logs SET pending = CASE WHEN pending < spawned THEN pending + 1 ELSE spawned END
    WHERE step_name = 'branch$torn'";

/// All children are done, and their counter says so.
const WHOLE: &str = "SELECT count(*) FROM chrono_forge_execution_logs AS l
    WHERE l.step_name = 'branch$torn' AND l.state = 1 AND l.pending = 0 AND NOT EXISTS (
        SELECT 1 FROM chrono_forge_workflows WHERE parent_execution_log_id = l.id AND state <> 2)";

#[workflow]
pub(crate) async fn torn_leaf(cx: Context, probe: State<Probe>, n: u32) -> Result<u32> {
    let ten = step!("ten", probe.ok(cx.key(), "step$ten", n * 10)).await?;
    if n == 2 {
        wait!("rest", hours(1)).await;
        step!("tear", {
            probe.enter(cx.key(), "step$tear");
            probe.tear(TEAR);
            Ok(())
        })
        .await?;
    }
    Ok(ten)
}

/// Time goes on until the auditor was here.
#[workflow]
pub(crate) async fn pastime(probe: State<Probe>) -> Result<()> {
    wait_until!(
        "whole",
        every = minutes(10),
        timeout = days(36_500),
        is_whole(&probe)
    )
    .await?;
    Ok(())
}

async fn is_whole(probe: &Probe) -> Result<bool> {
    Ok(probe.finds(WHOLE))
}

#[workflow]
pub(crate) async fn torn(cx: Context, probe: State<Probe>) -> Result<u32> {
    let beside = branch!("beside", { spawn!("time", pastime()) }).await?;
    let leaves = branch!("torn", automerge = true, {
        spawn_each!("leaf", 0..3_u32, |n| torn_leaf(n))
    })
    .await?;
    let sum = leaves.collect().await?.iter().sum();
    merge!(beside).await?;
    Ok(step!("last", probe.ok(cx.key(), "step$last", sum)).await?)
}

const TORN: Subject<torn> = Subject {
    invocation: torn,
    site: Site::new,
    tries: |_| 1,
};

#[backends]
fn the_undisturbed_branch_is_repaired_once(backend: Backend) {
    let site = (TORN.site)(backend, 1);
    assert_eq!(TORN.live(&site, |_, _| {}), 0);
    let repairs = "SELECT sum(repairs) FROM chrono_forge_audits";
    assert_eq!(site.look().number(repairs, &[]), 1);
    let rows = site.rows("undisturbed");
    let root = rows.iter().find(|row| row.starts_with("run torn root "));
    assert!(
        root.is_some_and(|row| row.contains("output=30")),
        "{rows:#?}"
    );
}

#[backends]
fn a_crash_before_any_commit_of_an_audit_loses_no_repair(backend: Backend) {
    for commit in [
        "enter_audits",
        "claim_audits",
        "recount_branch",
        "record_audits",
    ] {
        let crashes = TORN.sweep(backend, &format!("commit.before.{commit}"));
        assert!(crashes > 0, "{commit}");
    }
}

#[backends]
fn a_crash_after_any_commit_of_an_audit_makes_no_repair_twice(backend: Backend) {
    for commit in [
        "enter_audits",
        "claim_audits",
        "recount_branch",
        "record_audits",
    ] {
        let crashes = TORN.sweep(backend, &format!("commit.after.{commit}"));
        assert!(crashes > 0, "{commit}");
    }
}
