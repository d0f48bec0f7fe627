//! Changed definitions, replays of finished runs, undisturbed by what is not theirs.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

#[workflow]
async fn version_one(probe: State<Probe>) -> Result<u32> {
    let a = step!("a", {
        probe.note("a");
        Ok(1_u32)
    })
    .await?;
    let b = step!("b", {
        probe.note("b");
        Ok(2_u32)
    })
    .await?;
    wait!("pause", days(1)).await;
    Ok(a + b)
}

/// Inserts a step in front, removes one, swaps two, and adds an argument.
#[workflow]
async fn version_two(cx: Context, probe: State<Probe>, added: Option<u32>) -> Result<u32> {
    let new = step!("new", {
        probe.note("new");
        Ok(10_u32)
    })
    .await?;
    cx.set("before", &new)?;
    wait!("pause", days(1)).await;
    let a = step!("a", {
        probe.note("a again");
        Ok(100_u32)
    })
    .await?;
    cx.set("after", &a)?;
    Ok(a + new + added.unwrap_or(0))
}

#[scenario]
async fn inserting_removing_and_reordering_steps_disturbs_no_run_in_flight(world: &World) {
    let forge = world.forge([version_one::NAME]).await;
    forge.start("k", version_one()).await.unwrap();
    world.parked("k").await;
    let wake_at = world.rows().run("k").wake_at;
    world.crash(&forge);
    drop(forge);
    world.rows().edit(
        "UPDATE chrono_forge_workflows SET workflow = 'version_two'",
        &[],
    );
    let forge = world.forge([version_two::NAME]).await;
    let run = forge.get::<version_two>("k").await.unwrap().unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(Some(world.now()), wake_at, "the wait's deadline stays");
    assert_eq!(run.result().await.unwrap(), 11);
    assert_eq!(world.probe.log(), ["a", "b", "new"]);
    let context = serde_json::json!({"before": 10, "after": 1});
    assert_eq!(run.context().await.unwrap(), context);
}

#[scenario]
async fn the_replay_of_a_finished_run_does_nothing_anew(world: &World) {
    let forge = world.forge([version_one::NAME]).await;
    let run = forge.start("k", version_one()).await.unwrap();
    world.settle("k").await;
    let before = world.rows().records("k");
    world.crash(&forge);
    drop((forge, run));
    let now = world.now();
    world.rows().edit(
        "UPDATE chrono_forge_workflows SET state = 0, wake_at = instant(?), output = NULL",
        &[now.into()],
    );
    let forge = world.forge([version_one::NAME]).await;
    let run = forge.get::<version_one>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.probe.log(), ["a", "b"]);
    let after = world.rows().records("k");
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[workflow]
async fn block_leaf(n: u32) -> Result<u32> {
    Ok(n)
}

/// The block of one arm holds the next recorded step when that of the other arm is through.
#[workflow]
async fn two_blocks(probe: State<Probe>) -> Result<()> {
    let first = async {
        let all = branch!("first", {
            step!("in first", { Ok(()) }).await?;
            probe.note("in first");
            probe.raised("go").await;
            spawn_each!("c", 0..0_u32, |n| block_leaf(n))
        })
        .await?;
        probe.note("first is sealed");
        merge!(all).await?;
        Ok::<_, anyhow::Error>(())
    };
    let second = async {
        step!("between", { Ok(()) }).await?;
        probe.note("between");
        let all = branch!("second", {
            step!("in second", { Ok(()) }).await?;
            probe.note("in second");
            probe.raised("go").await;
            spawn_each!("c", 0..0_u32, |n| block_leaf(n))
        })
        .await?;
        merge!(all).await?;
        Ok::<_, anyhow::Error>(())
    };
    tokio::try_join!(first, second)?;
    Ok(())
}

#[scenario]
async fn recorded_steps_of_a_block_come_before_what_is_new(world: &World) {
    let forge = world.forge([two_blocks::NAME, block_leaf::NAME]).await;
    forge.start("k", two_blocks()).await.unwrap();
    world.noted("in second", 1).await;
    world.until(|| world.rows().order("k").len() == 3).await;
    let recorded = world.rows().order("k");
    let before = world.probe.log();
    world.crash(&forge);
    drop(forge);
    world.probe.set("go", 1);
    let _forge = world.forge([two_blocks::NAME, block_leaf::NAME]).await;
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(world.rows().order("k")[..3], recorded);
    let log = world.probe.log();
    let again = &log[before.len()..];
    assert_eq!(again[..3], before[..3]);
    assert_eq!(again[3..], ["first is sealed"]);
}
