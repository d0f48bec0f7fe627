//! `branch!` and `spawn!`: children, seals, replay, failure of a block.

use chrono_forge::prelude::*;
use chrono_forge::{Branch, BranchError};
use chrono_forge_tests::scenario::{COMPLETED, FAILED, Probe, STALLED, World, scenario};

#[workflow]
async fn double(probe: State<Probe>, n: u64) -> Result<u64> {
    probe.note(format!("child {n}"));
    Ok(n * 2)
}

#[workflow]
async fn parent(probe: State<Probe>) -> Result<u64> {
    let branch: Branch<(Child<u64>, Child<u64>)> = branch!("grp", {
        probe.note("block");
        let one = spawn!("one", double(1));
        (one, spawn!("two", double(2)))
    })
    .await?;
    wait!("pause", days(1)).await;
    let (one, two) = merge!(branch).await?;
    Ok(one.output().await? + two.output().await?)
}

#[scenario]
async fn a_spawned_child_is_linked_named_and_counted(world: &World) {
    let forge = world.forge([parent::NAME, double::NAME]).await;
    let run = forge.start("p", parent()).await.unwrap();
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 6);
    let branch = world.rows().record("p", "branch$grp");
    assert_eq!((branch.state, branch.spawned, branch.pending), (1, 2, 0));
    let children = world.rows().children("p");
    let keys: Vec<_> = children
        .iter()
        .map(|c| (c.key.as_str(), c.args.as_str()))
        .collect();
    assert_eq!(
        keys,
        [("p$grp$one", r#"{"n":1}"#), ("p$grp$two", r#"{"n":2}"#)]
    );
    assert!(
        children
            .iter()
            .all(|c| c.parent == Some(branch.id) && c.workflow == "double")
    );
    let child = forge.get::<double>("p$grp$two").await.unwrap().unwrap();
    assert_eq!(child.result().await.unwrap(), 4);
}

#[scenario]
async fn a_sealed_block_never_runs_again(world: &World) {
    let forge = world.forge([parent::NAME, double::NAME]).await;
    forge.start("p", parent()).await.unwrap();
    world.parked("p").await;
    world.crash(&forge);
    drop(forge);
    let _forge = world.forge([parent::NAME, double::NAME]).await;
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(world.probe.count("block"), 1);
    assert_eq!(world.rows().children("p").len(), 2);
    assert_eq!(world.probe.count("child 1"), 1);
}

#[workflow]
async fn steps_inside(cx: Context, probe: State<Probe>) -> Result<(u64, Option<u32>, Option<u32>)> {
    let branch = branch!("grp", {
        let n = step!("size", {
            cx.set("inner", &1_u32)?;
            Ok(probe.nth("size") as u64)
        })
        .await?;
        cx.set("block", &(cx.fetch("inner", 0_u32)? + 1))?;
        (spawn!("one", double(n)), n)
    })
    .await?;
    wait!("pause", days(1)).await;
    let (child, n) = merge!(branch).await?;
    cx.set("end", &n)?;
    Ok((child.output().await?, cx.get("inner")?, cx.get("block")?))
}

#[scenario]
async fn a_step_in_a_block_runs_once_and_its_context_survives_the_seal(world: &World) {
    let forge = world.forge([steps_inside::NAME, double::NAME]).await;
    let run = forge.start("p", steps_inside()).await.unwrap();
    world.settle("p").await;
    assert_eq!(run.result().await.unwrap(), (2, Some(1), Some(2)));
    assert_eq!(world.probe.count("size"), 1);
    let context = serde_json::json!({"inner": 1, "block": 2, "end": 1});
    assert_eq!(run.context().await.unwrap(), context);
    let order = ["step$size", "branch$grp", "wait$pause", "merge$grp"];
    assert_eq!(world.rows().order("p"), order);
}

#[workflow]
async fn flaky_block(probe: State<Probe>, base: u64) -> Result<u64> {
    let child = branch!("grp", automerge = true, {
        let n = step!("size", { Ok(probe.nth("size") as u64) }).await?;
        let child = spawn!("one", double(n));
        anyhow::ensure!(probe.nth("block") == 3, "the block fails");
        child
    })
    .await?;
    Ok(child.output().await? + base)
}

#[workflow(retry = RetryPolicy::new().base(secs(0)))]
async fn flaky_block_at_once(probe: State<Probe>) -> Result<u64> {
    let child = branch!("grp", automerge = true, {
        let n = step!("size", { Ok(probe.nth("size") as u64) }).await?;
        let child = spawn!("one", double(n));
        anyhow::ensure!(probe.nth("block") == 3, "the block fails");
        child
    })
    .await?;
    Ok(child.output().await?)
}

#[scenario]
async fn an_error_in_a_block_is_retried_and_finds_what_it_did(world: &World) {
    let forge = world.forge([flaky_block::NAME, double::NAME]).await;
    let run = forge.start("p", flaky_block(0)).await.unwrap();
    world.settle("p").await;
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(
        (world.probe.count("size"), world.probe.count("block")),
        (1, 3)
    );
    assert_eq!(world.rows().children("p").len(), 1);
    let branch = world.rows().record("p", "branch$grp");
    assert_eq!((branch.attempts, branch.spawned, branch.pending), (3, 1, 0));
    let numbered = [("branch$grp".to_owned(), 1), ("branch$grp".to_owned(), 2)];
    assert_eq!(world.rows().attempts("p"), numbered);
}

#[scenario]
async fn a_block_that_is_retried_in_the_same_pass_finds_its_steps_and_children(world: &World) {
    let forge = world.forge([flaky_block_at_once::NAME, double::NAME]).await;
    let run = forge.start("p", flaky_block_at_once()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(
        (world.probe.count("size"), world.probe.count("block")),
        (1, 3)
    );
    assert_eq!(world.rows().children("p").len(), 1);
}

fn refuse() -> Result<()> {
    anyhow::bail!("no")
}

#[workflow]
async fn hopeless_block(catch: bool) -> Result<String> {
    let sealed: Result<Branch<()>, BranchError> = branch!("grp", {
        let _child = spawn!("one", double(1));
        refuse()?
    })
    .await;
    match sealed {
        Err(error) if catch => Ok(format!(
            "{} {} {}",
            error.name, error.attempts, error.message
        )),
        other => {
            let Branch { .. } = other?;
            Ok("sealed".to_owned())
        }
    }
}

#[scenario]
async fn a_block_that_gives_up_is_a_value_recorded_on_the_branch(world: &World) {
    let forge = world.forge([hopeless_block::NAME, double::NAME]).await;
    let caught = forge.start("caught", hopeless_block(true)).await.unwrap();
    forge.start("thrown", hopeless_block(false)).await.unwrap();
    world.settle("caught").await;
    let thrown = world.settle("thrown").await;
    assert_eq!(caught.result().await.unwrap(), "grp 3 no");
    assert_eq!(
        (thrown.state, thrown.stalled_by.as_deref()),
        (STALLED, Some("branch$grp"))
    );
    let branch = world.rows().record("thrown", "branch$grp");
    assert_eq!((branch.state, branch.attempts, branch.spawned), (2, 3, 1));
}

#[workflow]
async fn hopeless_step(probe: State<Probe>) -> Result<()> {
    branch!("grp", automerge = true, {
        probe.note("block");
        step!("inner", retry = RetryPolicy::none(), async { refuse() }).await?;
    })
    .await?;
    Ok(())
}

#[scenario]
async fn a_block_whose_step_gave_up_is_not_retried_in_vain(world: &World) {
    let forge = world.forge([hopeless_step::NAME]).await;
    forge.start("p", hopeless_step()).await.unwrap();
    assert_eq!(world.settle("p").await.state, STALLED);
    assert_eq!(world.probe.count("block"), 1);
}

#[workflow]
async fn middle(n: u64) -> Result<u64> {
    let children = branch!("low", automerge = true, {
        spawn_each!("n", 0..n, |i| double(i))
    })
    .await?;
    Ok(children.collect().await?.iter().sum())
}

#[workflow]
async fn top() -> Result<u64> {
    let many = branch!("mid", automerge = true, {
        spawn_each!("m", 1..4_u64, |n| middle(n))
    });
    Ok(many.await?.collect().await?.iter().sum())
}

#[scenario]
async fn fan_outs_nest_through_child_workflows(world: &World) {
    let forge = world.forge([top::NAME, middle::NAME, double::NAME]).await;
    let run = forge.start("t", top()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2 + 6);
    let grand = world.rows().run("t$mid$m$2$low$n$1");
    assert_eq!(
        (grand.state, grand.args.as_str()),
        (COMPLETED, r#"{"n":1}"#)
    );
}

#[workflow]
async fn mixed() -> Result<Vec<serde_json::Value>> {
    let children = branch!("grp", automerge = true, {
        spawn_each!("n", 0..2_u64, |n| if n == 0 {
            double(n).erase()
        } else {
            unit().erase()
        })
    })
    .await?;
    Ok(children.collect().await?)
}

#[workflow]
async fn unit() {}

#[scenario]
async fn children_of_different_outputs_fit_in_one_spawn_when_erased(world: &World) {
    let forge = world.forge([mixed::NAME, double::NAME, unit::NAME]).await;
    let run = forge.start("p", mixed()).await.unwrap();
    assert_eq!(
        run.result().await.unwrap(),
        [serde_json::json!(0), serde_json::Value::Null]
    );
}

#[workflow]
async fn fails_after_dispatch() -> Result<()> {
    let _forgotten = branch!("grp", {
        spawn!("one", double(1));
    })
    .await?;
    Ok(())
}

#[scenario]
async fn children_of_a_parent_that_failed_run_on(world: &World) {
    let forge = world
        .forge([fails_after_dispatch::NAME, double::NAME])
        .await;
    forge.start("p", fails_after_dispatch()).await.unwrap();
    assert_eq!(world.settle("p").await.state, FAILED);
    world.quiet().await;
    assert_eq!(world.rows().run("p$grp$one").state, COMPLETED);
}
