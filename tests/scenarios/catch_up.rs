//! `repeat!` after a sleep: ticks within the timeout are real work, the rest is skipped together.

use std::time::Duration;

use chrono_forge::jiff::Timestamp;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

const SECOND: i64 = 1_000_000;

async fn work(probe: &Probe, tick: Timestamp) -> Result<()> {
    probe.note("ran");
    probe.note(format!("tick {}", tick.as_microsecond() / SECOND));
    Ok(())
}

#[workflow]
async fn sleepy(probe: State<Probe>, every: Duration, timeout: Duration) -> Result<()> {
    repeat!(
        "work",
        every = every,
        timeout = timeout,
        until = { Ok(probe.is("over")) },
        |tick| work(&probe, tick)
    )
    .await?;
    Ok(())
}

/// Seconds of the ticks that ran.
fn ran(world: &World) -> Vec<i64> {
    let tick = |line: String| line.strip_prefix("tick ").and_then(|at| at.parse().ok());
    world.probe.log().into_iter().filter_map(tick).collect()
}

/// The summary rows: how many ticks, from, to, in seconds.
fn summaries(world: &World) -> Vec<(i64, i64, i64)> {
    world
        .rows()
        .records("k")
        .into_iter()
        .filter_map(|row| serde_json::from_str::<serde_json::Value>(&row.metadata?).ok())
        .filter_map(|notes| {
            let number = |name: &str| notes[name].as_i64();
            let (from, to) = (number("from")? / SECOND, number("to")? / SECOND);
            Some((number("fast_forwarded")?, from, to))
        })
        .collect()
}

#[scenario]
async fn ticks_within_the_timeout_run_one_after_the_other_and_the_rest_is_one_row(world: &World) {
    world.start_of_second();
    let forge = world.forge([sleepy::NAME]).await;
    let begun = world.now() / SECOND;
    forge.start("k", sleepy(secs(10), secs(25))).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(100));
    world.noted("ran", 3).await;
    let parked = world.parked("k").await;
    // 75 is the cutoff: 80, 90 and 100 are in time, and the tick at the cutoff would be, too.
    assert_eq!(ran(world), [80, 90, 100].map(|at| begun + at));
    assert_eq!(summaries(world), [(7, begun + 10, begun + 70)]);
    assert_eq!(parked.wake_at, Some((begun + 110) * SECOND));
    let name = format!("repeat$work${}", begun + 70);
    let summary = world.rows().record("k", &name);
    assert_eq!((summary.state, summary.attempts), (2, 0));
    assert_eq!(summary.error_class.as_deref(), Some("timeout"));
    assert!(world.rows().errors("k").is_empty(), "nothing was tried");
}

#[scenario]
async fn a_tick_exactly_at_the_cutoff_still_runs(world: &World) {
    world.start_of_second();
    let forge = world.forge([sleepy::NAME]).await;
    let begun = world.now() / SECOND;
    forge.start("k", sleepy(secs(10), secs(20))).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(50));
    world.noted("ran", 3).await;
    world.parked("k").await;
    assert_eq!(ran(world), [30, 40, 50].map(|at| begun + at));
    assert_eq!(summaries(world), [(2, begun + 10, begun + 20)]);
}

#[scenario]
async fn a_sleep_through_a_million_ticks_is_one_row_and_one_pass(world: &World) {
    world.start_of_second();
    let forge = world.forge([sleepy::NAME]).await;
    let begun = world.now() / SECOND;
    forge.start("k", sleepy(secs(60), secs(30))).await.unwrap();
    world.parked("k").await;
    let epoch = world.rows().run("k").lock_epoch;
    let commits = forge.commits();
    world
        .clock
        .advance(Duration::from_secs(60 * 1_000_000 + 10));
    world.noted("ran", 1).await;
    world.parked("k").await;
    assert_eq!(ran(world), [begun + 60_000_000]);
    let to = begun + 60_000_000 - 60;
    assert_eq!(summaries(world), [(999_999, begun + 60, to)]);
    assert_eq!(world.rows().run("k").lock_epoch, epoch + 1);
    assert_eq!(world.rows().records("k").len(), 3);
    // A claim, the tick, the park; heartbeats may come between.
    assert!(
        forge.commits() - commits < 8,
        "{}",
        forge.commits() - commits
    );
}

#[scenario]
async fn a_tick_that_is_over_stays_over_whatever_is_slept_through(world: &World) {
    world.start_of_second();
    let forge = world.forge([sleepy::NAME]).await;
    let begun = world.now() / SECOND;
    forge.start("k", sleepy(secs(10), secs(5))).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(10));
    world.noted("ran", 1).await;
    world.parked("k").await;
    world.crash(&forge);
    drop(forge);
    world.clock.advance(days(7));
    let _forge = world.forge([sleepy::NAME]).await;
    world.noted("ran", 2).await;
    world.parked("k").await;
    let done = world
        .rows()
        .record("k", &format!("repeat$work${}", begun + 10));
    assert_eq!((done.state, done.error_class), (1, None));
    let week = 7 * 86_400;
    assert_eq!(
        summaries(world),
        [(week / 10 - 1, begun + 20, begun + week)]
    );
}

#[scenario]
async fn the_condition_comes_first_so_a_finished_repeat_skips_nothing(world: &World) {
    world.start_of_second();
    let forge = world.forge([sleepy::NAME]).await;
    let run = forge.start("k", sleepy(secs(10), secs(5))).await.unwrap();
    world.parked("k").await;
    world.probe.set("over", 1);
    world.clock.advance(days(365));
    run.result().await.unwrap();
    assert_eq!(world.rows().run("k").state, COMPLETED);
    assert!(summaries(world).is_empty() && ran(world).is_empty());
}
