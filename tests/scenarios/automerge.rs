//! `branch!(.., automerge = true, ..)`: joined where it stands.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, World, scenario};

#[workflow]
async fn napping_child(probe: State<Probe>) -> Result<u64> {
    wait!("nap", hours(1)).await;
    probe.note("child");
    Ok(3)
}

#[workflow]
async fn auto(probe: State<Probe>) -> Result<u64> {
    let child = branch!("grp", automerge = true, { spawn!("x", napping_child()) }).await?;
    step!("after", {
        probe.note("after");
        Ok(())
    })
    .await?;
    Ok(child.output().await?)
}

#[scenario]
async fn what_follows_an_automerge_runs_after_its_children(world: &World) {
    let forge = world.forge([auto::NAME, napping_child::NAME]).await;
    let run = forge.start("p", auto()).await.unwrap();
    world.quiet().await;
    let parent = world.rows().run("p");
    assert_eq!((parent.state, parent.wake_at), (IDLE, None));
    assert_eq!(world.settle("p").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.probe.log(), ["child", "after"]);
    let order = ["branch$grp", "merge$grp", "step$after"];
    assert_eq!(world.rows().order("p"), order);
    assert_eq!(
        world.rows().run("p").lock_epoch,
        2,
        "not replayed while it waits"
    );
}

#[workflow]
async fn empty_block(probe: State<Probe>) -> Result<u64> {
    let value = branch!("grp", automerge = true, {
        probe.note("block");
        5_u64
    })
    .await?;
    Ok(value)
}

#[scenario]
async fn a_block_without_children_is_joined_at_once(world: &World) {
    let forge = world.forge([empty_block::NAME]).await;
    let run = forge.start("p", empty_block()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 5);
    assert_eq!(world.rows().run("p").lock_epoch, 1);
}
