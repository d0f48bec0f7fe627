//! A clock that is set forward and back while a run works, waits, tries again and has children: no
//! crash around any commit loses or doubles anything, whatever the clock says by then.

use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::{Probe, Site};

use crate::sweep::Subject;

const HOUR: i64 = 3_600;

#[workflow]
pub(crate) async fn leaping_leaf(cx: Context, probe: State<Probe>, n: u32) -> Result<u32> {
    step!("leap", {
        probe.enter(cx.key(), "step$leap");
        probe.leap(if n.is_multiple_of(2) { -HOUR } else { 2 * HOUR });
        Ok(())
    })
    .await?;
    wait!("rest", minutes(10)).await;
    Ok(step!("ten", probe.ok(cx.key(), "step$ten", 10 * n)).await?)
}

#[workflow(part)]
async fn leap(cx: &Context, probe: &Probe, name: &str, seconds: i64) -> Result<()> {
    step!("{name}", {
        probe.enter(cx.key(), &format!("step${name}"));
        probe.leap(seconds);
        Ok(())
    })
    .await?;
    Ok(())
}

#[workflow]
pub(crate) async fn leaping(cx: Context, probe: State<Probe>) -> Result<u32> {
    leap(&cx, &probe, "back", -HOUR).await?;
    let flaky = step!("flaky", retry = RetryPolicy::new().jitter(false), {
        probe.leap(-HOUR / 2);
        probe.flaky(cx.key(), "step$flaky", 2).await
    })
    .await?;
    let leaves = branch!("leaves", automerge = true, {
        spawn_each!("leaf", of = 2, 0..4_u32, |n| leaping_leaf(n))
    })
    .await?;
    let (leapt, ()) = futures::join!(
        leap(&cx, &probe, "while it waits", -2 * HOUR),
        wait!("beside", minutes(30)),
    );
    leapt?;
    leap(&cx, &probe, "forward", 5 * HOUR).await?;
    wait!("rest", minutes(10)).await;
    let sum = leaves.collect().await?.iter().sum::<u32>();
    Ok(step!("last", probe.ok(cx.key(), "step$last", flaky + sum)).await?)
}

const LEAPING: Subject<leaping> = Subject {
    invocation: leaping,
    site: Site::new,
    tries: |place| if place == "step$flaky" { 3 } else { 1 },
};

#[backends]
fn a_crash_before_any_commit_changes_nothing_whatever_the_clock_says(backend: Backend) {
    let commits = LEAPING.sweep(backend, "commit.before");
    assert!((20..300).contains(&commits), "{commits} commits");
}

#[backends]
fn a_crash_after_any_commit_changes_nothing_whatever_the_clock_says(backend: Backend) {
    let commits = LEAPING.sweep(backend, "commit.after");
    assert!((20..300).contains(&commits), "{commits} commits");
}
