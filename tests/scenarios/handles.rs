//! A body, a step and a tick get at the engine that executes them, and keep it no longer alive.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Error, RunError};
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

#[workflow]
async fn handles_report(of: String) -> Result<String> {
    step!("write", { Ok(()) }).await?;
    Ok(of)
}

/// Starts a run in a step, and says whether it was new.
#[workflow]
async fn handles_step(cx: Context, probe: State<Probe>) -> Result<i64> {
    let id = step!("start", {
        let key = format!("{}-report", cx.key());
        let run = cx.forge().start(&key, handles_report(key.clone())).await?;
        probe.note(format!("new {}", run.is_new()));
        anyhow::ensure!(!run.is_new(), "cut off behind the start");
        Ok(run.id())
    })
    .await?;
    Ok(id)
}

#[workflow]
async fn handles_night(cx: Context) -> Result<()> {
    repeat!(
        "night",
        every = hours(1),
        until = { Ok(cx.get::<u32>("n")?.unwrap_or(0) == 2) },
        |tick| {
            let forge = cx.forge();
            let shops = ["north", "south"];
            let key = |shop: &&str| format!("{shop}-{}", tick.as_second());
            let runs = shops
                .iter()
                .map(|shop| (key(shop), handles_report((*shop).to_owned())));
            forge.start_all(runs).await?;
            cx.update("n", |n: Option<u32>| n.unwrap_or(0) + 1)?;
            Ok(())
        }
    )
    .await?;
    Ok(())
}

#[workflow]
async fn handles_child(cx: Context) -> Result<()> {
    step!("wake", {
        Ok(cx.forge().wake::<handles_parent>("p").await?)
    })
    .await?;
    Ok(())
}

/// Goes on once its child has woken it.
#[workflow]
async fn handles_parent(probe: State<Probe>) -> Result<u32> {
    let child = branch!("child", { spawn!("c", handles_child()) }).await?;
    continue_if!("woken", { Ok(probe.nth("look") > 1) }).await?;
    merge!(child).await?;
    Ok(7)
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<Forge>>>);

/// Keeps its engine's handle where it outlives the run, and goes on.
#[workflow]
async fn handles_keeps(cx: Context, kept: State<Kept>) -> Result<()> {
    step!("keep", {
        *kept.0.lock().unwrap() = Some(cx.forge());
        Ok(())
    })
    .await?;
    wait!("long", days(1)).await;
    Ok(())
}

#[workflow]
async fn handles_awaits(cx: Context) -> Result<String> {
    let run = cx.forge().start("r", handles_report("r".into())).await?;
    Ok(run.result().await?)
}

/// By the clock of its engine, on either side of a wait.
#[workflow]
async fn handles_clock(cx: Context) -> Result<Duration> {
    let begun = step!("begun", { Ok(cx.now()) }).await?;
    wait!("three-days", days(3)).await;
    let ended = step!("ended", { Ok(cx.now()) }).await?;
    Ok(Duration::try_from(ended.duration_since(begun))?)
}

#[scenario]
async fn a_step_reads_the_clock_that_its_waits_go_by(world: &World) {
    let forge = world.forge([handles_clock::NAME]).await;
    let run = forge.start("c", handles_clock()).await.unwrap();
    world.parked("c").await;
    world.clock.advance(days(3));
    world.settle("c").await;
    assert_eq!(run.result().await.unwrap(), days(3));
}

#[scenario]
async fn a_step_starts_a_run_once_however_often_it_is_cut_off(world: &World) {
    let forge = world
        .forge([handles_step::NAME, handles_report::NAME])
        .await;
    let run = forge.start("s", handles_step()).await.unwrap();
    world.settle("s").await;
    let id = run.result().await.unwrap();
    assert_eq!(world.probe.log(), ["new true", "new false"]);
    let report = forge
        .get::<handles_report>("s-report")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(report.id(), id);
    assert_eq!(report.result().await.unwrap(), "s-report");
}

#[scenario]
async fn a_tick_starts_the_runs_of_its_night(world: &World) {
    world.start_of_second();
    let forge = world
        .forge([handles_night::NAME, handles_report::NAME])
        .await;
    let run = forge.start("n", handles_night()).await.unwrap();
    world.settle("n").await;
    run.result().await.unwrap();
    world.quiet().await;
    let runs = world.rows().runs();
    assert!(runs.iter().all(|run| run.state == COMPLETED), "{runs:?}");
    assert_eq!(runs.len(), 5, "two nights of two shops: {runs:?}");
}

#[scenario]
async fn a_child_wakes_another_run(world: &World) {
    let forge = world
        .forge([handles_parent::NAME, handles_child::NAME])
        .await;
    let run = forge.start("p", handles_parent()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
}

#[scenario]
async fn a_handle_that_a_body_was_given_keeps_no_engine_alive(world: &World) {
    let kept = Kept::default();
    let forge = world.builder([handles_keeps::NAME]).state(kept.clone());
    let forge = forge.open().await.unwrap();
    let run = forge.start("k", handles_keeps()).await.unwrap();
    world.parked("k").await;
    drop((run, forge));
    let inside = kept.0.lock().unwrap().take().unwrap();
    let clone = inside.clone();
    drop(inside);
    // It ends as it does where nobody keeps anything: others take over at once.
    let refused = clone.start("x", handles_keeps()).await;
    assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
    clone.shutdown().await;
    world.bury();
    let again = world
        .builder([handles_keeps::NAME])
        .state(kept)
        .open()
        .await
        .unwrap();
    world.settle("k").await;
    let run = again.get::<handles_keeps>("k").await.unwrap().unwrap();
    run.result().await.unwrap();
}

#[scenario]
async fn a_run_cannot_be_awaited_through_it(world: &World) {
    let forge = world
        .forge([handles_awaits::NAME, handles_report::NAME])
        .await;
    let error = forge
        .start("a", handles_awaits())
        .await
        .unwrap()
        .result()
        .await;
    assert!(
        matches!(&error, Err(RunError::Failed { message, .. }) if message.contains("awaited")),
        "{error:?}"
    );
}
