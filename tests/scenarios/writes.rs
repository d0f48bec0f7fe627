//! Which writes to the context count.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use serde_json::json;

/// Tries twice, a second apart.
fn twice() -> RetryPolicy {
    RetryPolicy::new().max_attempts(2).jitter(false)
}

/// Writes an entry of its own, and fails the first time.
async fn writes(cx: &Context, probe: &Probe, name: &str) -> Result<()> {
    let nth = probe.nth(name);
    cx.set(&format!("{name} {nth}"), &nth)?;
    anyhow::ensure!(nth > 1, "the first time");
    Ok(())
}

#[workflow]
async fn writes_again(cx: Context, probe: State<Probe>) -> Result<()> {
    step!("step", retry = twice(), writes(&cx, &probe, "step")).await?;
    wait_until!("look", retry = twice(), {
        writes(&cx, &probe, "look").await?;
        Ok(true)
    })
    .await?;
    branch!("block", automerge = true, retry = twice(), {
        writes(&cx, &probe, "block").await?;
    })
    .await?;
    repeat!(
        "tick",
        every = secs(10),
        until = { Ok(cx.contains("tick 2")) },
        retry = twice(),
        |_tick| writes(&cx, &probe, "tick")
    )
    .await?;
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn what_an_attempt_wrote_that_is_tried_again_counts_for_nothing(world: &World) {
    let forge = world.forge([writes_again::NAME]).await;
    let run = forge.start("k", writes_again()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    let second = json!({"step 2": 2, "look 2": 2, "block 2": 2, "tick 2": 2});
    assert_eq!(run.context().await.unwrap(), second);
}

#[workflow]
async fn gives_up_in_every_way(cx: Context) -> Result<()> {
    let none = RetryPolicy::none;
    let failed = step!("fails", retry = none(), {
        cx.set("fails", &1)?;
        Err::<(), _>(anyhow::anyhow!("no"))
    });
    let panicked = step!("panics", retry = none(), {
        cx.set("panics", &1)?;
        assert!(!cx.contains("panics"), "no");
        Ok(())
    });
    let late = step!("is late", retry = none(), timeout = secs(1), {
        cx.set("is late", &1)?;
        std::future::pending::<()>().await;
        Ok(())
    });
    let look = wait_until!("looks", {
        cx.set("looks", &1)?;
        Err::<bool, _>(anyhow::anyhow!("no"))
    });
    let block = branch!("block", retry = none(), {
        cx.set("block", &1)?;
        anyhow::ensure!(!cx.contains("block"), "no");
    });
    let block = block.await.is_err();
    let all = [
        failed.await.is_err(),
        panicked.await.is_err(),
        late.await.is_err(),
        look.await.is_err(),
        block,
    ];
    anyhow::ensure!(all == [true; 5], "{all:?}");
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn what_the_attempt_wrote_with_which_an_operation_gives_up_counts(world: &World) {
    let forge = world.forge([gives_up_in_every_way::NAME]).await;
    let run = forge.start("k", gives_up_in_every_way()).await.unwrap();
    // A step that is to run out of time executes meanwhile.
    while world.rows().run("k").state != COMPLETED {
        world.clock.advance(secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all = json!({"fails": 1, "panics": 1, "is late": 1, "looks": 1, "block": 1});
    assert_eq!(run.context().await.unwrap(), all);
}

/// Writes an entry of its own, and is true the third time.
fn third(cx: &Context, probe: &Probe, name: &str) -> Result<bool> {
    let nth = probe.nth(name);
    cx.set(&format!("{name} {nth}"), &nth)?;
    Ok(nth == 3)
}

#[workflow]
async fn conditions_that_write(cx: Context, probe: State<Probe>) -> Result<()> {
    wait_until!("poll", every = secs(1), { third(&cx, &probe, "poll") }).await?;
    continue_if!("gate", { third(&cx, &probe, "gate") }).await?;
    repeat!(
        "ticks",
        every = secs(1),
        until = { third(&cx, &probe, "until") },
        |_tick| std::future::ready(anyhow::Ok(()))
    )
    .await?;
    let late = wait_until!("late", every = hours(2), timeout = hours(1), {
        cx.set("late", &1)?;
        Ok(false)
    });
    anyhow::ensure!(late.await.is_err_and(|error| error.is_timeout), "its time");
    let never = wait_until!("never", timeout = Duration::ZERO, {
        cx.set("never", &1)?;
        Ok(false)
    });
    anyhow::ensure!(never.await.is_err(), "its time");
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn what_a_condition_wrote_that_was_false_counts_for_nothing_even_at_its_deadline(
    world: &World,
) {
    let forge = world.forge([conditions_that_write::NAME]).await;
    let run = forge.start("k", conditions_that_write()).await.unwrap();
    while world.settle("k").await.state != COMPLETED {
        forge.wake::<conditions_that_write>("k").await.unwrap();
    }
    let third = json!({"poll 3": 3, "gate 3": 3, "until 3": 3});
    assert_eq!(run.context().await.unwrap(), third);
}

#[workflow]
async fn ticks_that_write(cx: Context, probe: State<Probe>) -> Result<()> {
    repeat!(
        "tick",
        every = secs(10),
        until = { Ok(probe.count("tick") >= 3) },
        retry = RetryPolicy::none(),
        |_tick| {
            let nth = probe.nth("tick");
            cx.set(&format!("tick {nth}"), &nth)?;
            cx.update("ticks", |ticks: Option<u32>| ticks.unwrap_or(0) + 1)?;
            anyhow::ensure!(nth != 2, "the second gives up");
            Ok(())
        }
    )
    .await?;
    wait!("pause", secs(1)).await;
    Ok(())
}

#[scenario]
async fn what_a_tick_wrote_counts_once_it_is_over_and_nothing_of_one_that_gave_up(world: &World) {
    let forge = world.forge([ticks_that_write::NAME]).await;
    let run = forge.start("k", ticks_that_write()).await.unwrap();
    assert_eq!(world.settle("k").await.state, COMPLETED);
    let odd = json!({"tick 1": 1, "tick 3": 3, "ticks": 2});
    assert_eq!(run.context().await.unwrap(), odd);
}
