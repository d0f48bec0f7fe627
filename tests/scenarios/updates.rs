//! Operations beside each other that update one entry: each counts, or the later one says that it
//! does not.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use serde_json::json;

/// Tries until it counts.
fn again() -> RetryPolicy {
    RetryPolicy::new().unlimited().base(secs(0)).jitter(false)
}

async fn waits(polls: u32) {
    for _ in 0..polls {
        tokio::task::yield_now().await;
    }
}

/// One more, of what it found before others ended.
async fn counts(cx: &Context) -> Result<()> {
    cx.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?;
    tokio::task::yield_now().await;
    Ok(())
}

/// One more from a step in a block that is over after so many polls of another.
#[workflow(part)]
async fn in_block(cx: &Context, name: &str, polls: u32) -> Result<()> {
    branch!("{name}", automerge = true, {
        step!("in {name}", retry = again(), counts(cx)).await?;
        step!("after {name}", {
            waits(polls).await;
            Ok(())
        })
        .await?;
    })
    .await?;
    Ok(())
}

#[workflow]
async fn updating_blocks(cx: Context, first: u32, second: u32) -> Result<u32> {
    tokio::try_join!(in_block(&cx, "a", first), in_block(&cx, "b", second))?;
    wait!("pause", secs(1)).await;
    Ok(cx.fetch("n", 0)?)
}

#[scenario]
async fn of_steps_in_two_blocks_that_update_one_entry_each_counts(world: &World) {
    let forge = world.forge([updating_blocks::NAME]).await;
    for (first, second) in [(0, 0), (9, 0), (0, 9)] {
        let key = format!("{first}-{second}");
        let run = forge.start(&key, updating_blocks(first, second)).await;
        assert_eq!(world.settle(&key).await.state, COMPLETED);
        assert_eq!(run.unwrap().result().await.unwrap(), 2, "{key}");
    }
}

#[workflow]
async fn updating_block_and_step(cx: Context, polls: u32) -> Result<u32> {
    let step = async {
        // Before, while, or after the step in the block is over.
        step!("beside", retry = again(), {
            waits(polls).await;
            counts(&cx).await
        })
        .await?;
        anyhow::Ok(())
    };
    tokio::try_join!(in_block(&cx, "a", 9), step)?;
    wait!("pause", secs(1)).await;
    Ok(cx.fetch("n", 0)?)
}

#[scenario]
async fn of_a_step_in_a_block_and_one_beside_it_that_update_one_entry_each_counts(world: &World) {
    let forge = world.forge([updating_block_and_step::NAME]).await;
    for polls in 0..9 {
        let key = format!("{polls}");
        let run = forge.start(&key, updating_block_and_step(polls)).await;
        assert_eq!(world.settle(&key).await.state, COMPLETED);
        assert_eq!(run.unwrap().result().await.unwrap(), 2, "{polls}");
    }
}

#[workflow]
async fn updating_ticks(cx: Context, probe: State<Probe>) -> Result<(bool, u32)> {
    let ticks = repeat!(
        "tick",
        every = secs(10),
        until = { Ok(probe.count("tick") >= 3) },
        |_tick| {
            probe.note("tick");
            counts(&cx).await
        }
    );
    let step = async {
        wait!("between", secs(15)).await;
        step!("beside", retry = RetryPolicy::none(), counts(&cx)).await
    };
    let (ticks, step) = tokio::join!(ticks, step);
    ticks?;
    if let Err(error) = &step {
        probe.note(error.class.clone());
    }
    wait!("pause", secs(1)).await;
    Ok((step.is_ok(), cx.fetch("n", 0)?))
}

#[scenario]
async fn a_step_that_updates_what_ticks_beside_it_have_written_says_that_it_does_not_count(
    world: &World,
) {
    let forge = world.forge([updating_ticks::NAME]).await;
    let run = forge.start("k", updating_ticks()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), (false, 3));
    let class = "chrono_forge_runtime::error::forge::ContextError";
    assert_eq!(world.probe.count(class), 2, "{:?}", world.probe.log());
}

#[workflow]
async fn updating_condition(cx: Context, fails: bool) -> Result<(bool, bool, u32)> {
    let look = wait_until!("look", retry = again(), {
        counts(&cx).await?;
        Ok(true)
    });
    let step = step!("beside", retry = RetryPolicy::none(), {
        counts(&cx).await?;
        cx.set("beside", &true)?;
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        anyhow::ensure!(!fails, "for another reason");
        Ok(())
    });
    let (look, step) = tokio::join!(look, step);
    wait!("pause", secs(1)).await;
    Ok((look.is_ok(), step.is_ok(), cx.fetch("n", 0)?))
}

#[scenario]
async fn an_attempt_that_came_too_late_writes_nothing_whatever_it_fails_of(world: &World) {
    let forge = world.forge([updating_condition::NAME]).await;
    for fails in [false, true] {
        let key = format!("{fails}");
        let run = forge.start(&key, updating_condition(fails)).await.unwrap();
        assert_eq!(world.settle(&key).await.state, COMPLETED);
        assert_eq!(run.result().await.unwrap(), (true, false, 1));
        assert_eq!(run.context().await.unwrap(), json!({"n": 1}));
    }
}

#[workflow]
async fn updating_conditions(cx: Context) -> Result<u32> {
    let look = async |key: &'static str| {
        wait_until!("{key}", every = secs(1), retry = again(), {
            counts(&cx).await?;
            Ok(true)
        })
        .await
    };
    tokio::try_join!(look("a"), look("b"))?;
    wait!("pause", secs(1)).await;
    Ok(cx.fetch("n", 0)?)
}

#[scenario]
async fn of_two_conditions_that_update_one_entry_each_counts(world: &World) {
    let forge = world.forge([updating_conditions::NAME]).await;
    let run = forge.start("k", updating_conditions()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), 2);
}
