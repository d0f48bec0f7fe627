//! How a run ends well: outputs, the gate, one transaction.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, World, scenario};

#[workflow]
async fn nothing() {}

#[workflow]
async fn just_value(n: u32) -> Result<Option<u32>> {
    Ok((n > 0).then_some(n))
}

#[workflow]
async fn last_step() -> Result<u32> {
    Ok(step!("only", { Ok(1_u32) }).await?)
}

#[scenario]
async fn a_body_may_return_nothing_or_any_value(world: &World) {
    let forge = world.forge([nothing::NAME, just_value::NAME]).await;
    forge
        .start("n", nothing())
        .await
        .unwrap()
        .result()
        .await
        .unwrap();
    let run = world.rows().run("n");
    assert_eq!(
        (run.state, run.output.as_deref(), run.args.as_str()),
        (COMPLETED, Some("null"), "{}")
    );
    assert!(world.rows().records("n").is_empty());
    let some = forge.start("some", just_value(3)).await.unwrap();
    let none = forge.start("none", just_value(0)).await.unwrap();
    assert_eq!(
        (some.result().await.unwrap(), none.result().await.unwrap()),
        (Some(3), None)
    );
}

#[scenario]
async fn a_last_step_and_its_run_s_completion_share_a_commit(world: &World) {
    let forge = world.forge([last_step::NAME]).await;
    let run = forge.start("k", last_step()).await.unwrap();
    run.result().await.unwrap();
    let commits = |kind: &str| world.failpoints.hits(&format!("commit.after.{kind}"));
    assert_eq!((commits("start"), commits("apply")), (1, 1));
}

#[workflow]
async fn failed_but_unmerged() -> Result<()> {
    let _handle = branch!("grp", {}).await?;
    anyhow::bail!("a better reason")
}

#[scenario]
async fn an_unmerged_branch_does_not_hide_the_error_that_ended_the_body(world: &World) {
    let forge = world.forge([failed_but_unmerged::NAME]).await;
    forge.start("k", failed_but_unmerged()).await.unwrap();
    world.settle("k").await;
    let messages: Vec<_> = world
        .rows()
        .errors("k")
        .into_iter()
        .map(|e| e.message)
        .collect();
    assert_eq!(messages, ["a better reason"; 10]);
}
