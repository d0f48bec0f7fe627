//! `ManualClock`: from one instant that a run waits for to the next, by hand and by itself.

use std::time::Duration;

use chrono_forge::jiff::Timestamp;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[workflow]
async fn skipped_waits(probe: State<Probe>) -> Result<()> {
    wait!("three-days", days(3)).await;
    step!("remind", {
        probe.note("remind");
        Ok(())
    })
    .await?;
    wait!("a-week", days(7)).await;
    Ok(())
}

#[scenario]
async fn a_result_skips_what_its_run_waits_for_and_nothing_more(world: &World) {
    let forge = world.forge([skipped_waits::NAME]).await;
    world.clock.skip(true);
    let begun = world.clock.now();
    let run = forge.start("k", skipped_waits()).await.unwrap();
    let other = forge.start("other", skipped_waits()).await.unwrap();
    forge.settled().await.unwrap();
    assert_eq!(world.clock.now(), begun, "nobody awaits a result");
    run.result().await.unwrap();
    let ended = begun + DAY * 10;
    assert_eq!(world.clock.now(), ended);
    other.result().await.unwrap();
    // Later by what lies between the two starts: nothing, since the clock stood.
    assert_eq!(world.clock.now(), ended);
    world.clock.skip(false);
    let run = forge.start("stands", skipped_waits()).await.unwrap();
    assert!(world.soon(run.result()).await.is_none());
    assert_eq!(world.clock.now(), ended);
}

fn hourly() -> RetryPolicy {
    RetryPolicy::new()
        .base(hours(1))
        .cap(hours(1))
        .jitter(false)
}

/// Fails twice.
async fn third(probe: &Probe, what: &str) -> Result<()> {
    anyhow::ensure!(probe.nth(what) == 3, "not yet");
    Ok(())
}

#[workflow]
async fn skipped_step(probe: State<Probe>) -> Result<()> {
    step!("s", retry = hourly(), third(&probe, "step")).await?;
    Ok(())
}

#[workflow(retry = hourly())]
async fn skipped_body(probe: State<Probe>) -> Result<()> {
    third(&probe, "body").await
}

#[workflow]
async fn skipped_block(probe: State<Probe>) -> Result<()> {
    branch!("b", automerge = true, retry = hourly(), {
        third(&probe, "block").await?;
        spawn!("c", skipped_body())
    })
    .await?;
    Ok(())
}

#[workflow]
async fn skipped_condition(probe: State<Probe>) -> Result<()> {
    wait_until!("c", every = hours(1), timeout = days(1), async {
        Ok::<_, anyhow::Error>(probe.nth("look") == 3)
    })
    .await?;
    Ok(())
}

#[workflow]
async fn skipped_tick(cx: Context, probe: State<Probe>) -> Result<()> {
    repeat!(
        "t",
        every = days(1),
        retry = hourly(),
        until = { Ok(cx.contains("done")) },
        |_tick| {
            third(&probe, "tick").await?;
            Ok(cx.set("done", &true)?)
        }
    )
    .await?;
    Ok(())
}

const RETRIED: [&str; 5] = [
    skipped_step::NAME,
    skipped_body::NAME,
    skipped_block::NAME,
    skipped_condition::NAME,
    skipped_tick::NAME,
];

/// Each workflow fails, or sees nothing, twice.
const TWICE: [&str; 5] = ["step", "body", "block", "look", "tick"];

#[scenario]
async fn every_retry_comes_under_a_clock_that_skips(world: &World) {
    let forge = world.forge(RETRIED).await;
    world.clock.skip(true);
    let one = forge.start("1", skipped_step()).await.unwrap();
    one.result().await.unwrap();
    let two = forge.start("2", skipped_body()).await.unwrap();
    two.result().await.unwrap();
    let three = forge.start("3", skipped_condition()).await.unwrap();
    three.result().await.unwrap();
    let four = forge.start("4", skipped_tick()).await.unwrap();
    four.result().await.unwrap();
    assert_eq!(world.probe.count("block"), 0);
    for what in TWICE.iter().filter(|what| **what != "block") {
        assert_eq!(world.probe.count(what), 3, "{what}");
    }
}

#[scenario]
async fn every_retry_comes_under_a_clock_that_is_moved_to_it(world: &World) {
    let forge = world.forge(RETRIED).await;
    let five = forge.start("5", skipped_block()).await.unwrap();
    let mut moves = 0;
    while world.clock.advance_to_next().await {
        moves += 1;
        assert!(moves < 100, "it ends");
    }
    five.result().await.unwrap();
    assert_eq!(world.probe.count("block"), 3);
    assert_eq!(world.probe.count("body"), 3, "the child's");
    assert_eq!(moves, 4);
}

#[workflow]
async fn skipped_nights(cx: Context, probe: State<Probe>, nights: u32) -> Result<u32> {
    repeat!(
        "night",
        cron = "0 2 * * *",
        timeout = secs(1),
        until = { Ok(cx.get::<u32>("nights")?.unwrap_or(0) == nights) },
        |tick| {
            probe.note(format!("{tick}"));
            cx.update("nights", |done: Option<u32>| done.unwrap_or(0) + 1)?;
            Ok(())
        }
    )
    .await?;
    Ok(cx.get("nights")?.unwrap_or(0))
}

/// Midnight, so that the first night is the next one.
fn midnight() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

fn two_o_clock(world: &World, nights: usize) -> bool {
    let log = world.probe.log();
    log.len() == nights && log.iter().all(|tick| tick.ends_with("T02:00:00Z"))
}

#[scenario]
async fn no_tick_of_a_week_is_lost_however_time_is_moved(world: &World) {
    let forge = world.forge([skipped_nights::NAME]).await;
    // By itself,
    world.clock.set(midnight());
    world.clock.skip(true);
    let run = forge.start("skipped", skipped_nights(7)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    assert!(two_o_clock(world, 7), "{:?}", world.probe.log());
    world.clock.skip(false);
    // to each tick,
    let run = forge.start("moved", skipped_nights(7)).await.unwrap();
    for _ in 0..7 {
        assert!(world.clock.advance_to_next().await);
    }
    assert_eq!(run.result().await.unwrap(), 7);
    assert!(!world.clock.advance_to_next().await);
    assert!(two_o_clock(world, 14), "{:?}", world.probe.log());
    // through a week,
    let run = forge.start("through", skipped_nights(7)).await.unwrap();
    let begun = world.clock.now();
    world.clock.advance_through(DAY * 7).await;
    assert_eq!(world.clock.now(), begun + DAY * 7);
    assert_eq!(run.result().await.unwrap(), 7);
    // and in steps, each once everything has settled.
    let run = forge.start("steps", skipped_nights(7)).await.unwrap();
    for _ in 0..7 {
        forge.settled().await.unwrap();
        world.clock.advance(DAY);
    }
    assert_eq!(run.result().await.unwrap(), 7);
    assert!(two_o_clock(world, 28), "{:?}", world.probe.log());
}

#[workflow]
async fn skipped_for_ever(probe: State<Probe>) -> Result<()> {
    tokio::select! {
        () = wait!("end-of-time", Duration::MAX) => {}
        open = continue_if!("open", async { Ok::<_, anyhow::Error>(probe.is("open")) }) => open?,
    }
    Ok(())
}

#[scenario]
async fn nobody_skips_to_the_end_of_time(world: &World) {
    let forge = world.forge([skipped_for_ever::NAME]).await;
    let begun = world.clock.now();
    assert!(!world.clock.advance_to_next().await, "no run");
    let run = forge.start("k", skipped_for_ever()).await.unwrap();
    assert!(!world.clock.advance_to_next().await);
    world.clock.skip(true);
    assert!(world.soon(run.result()).await.is_none());
    assert_eq!(world.clock.now(), begun);
    world.probe.set("open", 1);
    forge.wake::<skipped_for_ever>("k").await.unwrap();
    run.result().await.unwrap();
}

#[scenario(threads = 2)]
async fn engines_of_one_clock_wait_for_each_other(world: &World) {
    let one = world.forge([skipped_waits::NAME]).await;
    let two = world.forge([skipped_nights::NAME]).await;
    world.clock.set(midnight());
    world.clock.skip(true);
    let nights = two.start("n", skipped_nights(4)).await.unwrap();
    let waits = two.start("w", skipped_waits()).await.unwrap();
    waits.result().await.unwrap();
    assert_eq!(world.clock.now(), midnight() + DAY * 10);
    // What the other engine served is over, each night at its instant.
    assert_eq!(nights.result().await.unwrap(), 4);
    assert_eq!(world.clock.now(), midnight() + DAY * 10);
    one.shutdown().await;
    // An engine that is gone is not waited for.
    assert!(!world.clock.advance_to_next().await);
}

#[scenario]
async fn a_clock_is_set_and_moved_by_hand(world: &World) {
    let clock = &world.clock;
    clock.set(midnight());
    assert_eq!(clock.now(), midnight());
    clock.advance(HOUR);
    assert_eq!(clock.now(), midnight() + HOUR);
    clock.set(midnight());
    clock.advance_through(DAY).await;
    assert_eq!(clock.now(), midnight() + DAY);
    assert!(!clock.advance_to_next().await, "no engine follows it");
}
