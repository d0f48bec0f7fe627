//! `repeat!` whose ticks or condition fail: attempts, budgets, what comes after the last one.

use chrono_forge::OnError;
use chrono_forge::jiff::Timestamp;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, STALLED, World, scenario};

const SECOND: i64 = 1_000_000;

async fn flaky(probe: &Probe, tick: Timestamp) -> Result<()> {
    let nth = probe.nth("ran");
    probe.note(format!("tick {}", tick.as_microsecond()));
    anyhow::ensure!(nth > probe.get("failures") as usize, "attempt {nth} failed");
    probe.note("done");
    Ok(())
}

async fn is_over(probe: &Probe) -> Result<bool> {
    anyhow::ensure!(!probe.is("blind"), "cannot see");
    Ok(probe.count("done") >= probe.get("wanted") as usize)
}

#[workflow]
async fn careless(probe: State<Probe>) -> Result<()> {
    let steady = RetryPolicy::new().jitter(false);
    repeat!(
        "work",
        every = secs(60),
        until = is_over(&probe),
        retry = steady,
        |tick| { flaky(&probe, tick) }
    )
    .await?;
    Ok(())
}

#[scenario]
async fn a_first_tick_has_its_whole_budget_and_each_failure_is_one_error_row(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 99);
    world.probe.set("wanted", 1);
    let forge = world.forge([careless::NAME]).await;
    let tick = world.now() + 60 * SECOND;
    forge.start("k", careless()).await.unwrap();
    world.parked("k").await;
    for (delay, failures) in [(60, 1), (1, 2), (2, 3)] {
        world.clock.advance(secs(delay));
        world.noted("ran", failures).await;
        world.parked("k").await;
    }
    let name = format!("repeat$work${}", tick / SECOND);
    let numbered: Vec<_> = (1..=3).map(|n| (name.clone(), n)).collect();
    assert_eq!(world.rows().attempts("k"), numbered);
    let row = world.rows().record("k", &name);
    assert_eq!((row.state, row.attempts), (2, 3));
    assert!(row.error_message.unwrap().contains("attempt 3 failed"));
    // The next tick has a budget of its own.
    assert_eq!(world.rows().run("k").wake_at, Some(tick + 60 * SECOND));
    assert_eq!(world.rows().run("k").retry_counts, "{}");
}

#[scenario]
async fn a_tick_that_recovers_goes_on_as_if_nothing_had_been(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 2);
    world.probe.set("wanted", 2);
    let forge = world.forge([careless::NAME]).await;
    let begun = world.now();
    let run = forge.start("k", careless()).await.unwrap();
    world.settle("k").await;
    run.result().await.unwrap();
    let (first, second) = (begun + 60 * SECOND, begun + 120 * SECOND);
    let log: Vec<_> = [first, first, first, second]
        .map(|at| format!("tick {at}"))
        .into();
    let ticks: Vec<_> = world
        .probe
        .log()
        .into_iter()
        .filter(|l| l.starts_with("tick"))
        .collect();
    assert_eq!(ticks, log);
    assert_eq!(world.rows().errors("k").len(), 2);
}

#[scenario]
async fn a_wake_never_retries_a_tick_early(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 1);
    world.probe.set("wanted", 1);
    let forge = world.forge([careless::NAME]).await;
    forge.start("k", careless()).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(60));
    world.noted("ran", 1).await;
    let retry_at = world.parked("k").await.wake_at;
    assert_eq!(retry_at, Some(world.now() + SECOND));
    let epoch = world.rows().run("k").lock_epoch;
    forge.wake::<careless>("k").await.unwrap();
    world
        .until(|| world.rows().run("k").lock_epoch > epoch)
        .await;
    assert_eq!(world.parked("k").await.wake_at, retry_at);
    assert_eq!(world.probe.count("ran"), 1);
}

#[scenario]
async fn a_retry_is_not_begun_after_the_window_of_its_tick(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 1);
    world.probe.set("wanted", 1);
    let forge = world.forge([careless::NAME]).await;
    let tick = world.now() + 60 * SECOND;
    forge.start("k", careless()).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(60));
    world.noted("ran", 1).await;
    world.parked("k").await;
    // An hour and more: the tick is over, others expired behind it, the newest are real work.
    world.clock.advance(hours(2));
    world.noted("done", 1).await;
    let row = world
        .rows()
        .record("k", &format!("repeat$work${}", tick / SECOND));
    assert_eq!((row.state, row.attempts), (2, 1));
    assert_eq!(row.error_class.as_deref(), Some("timeout"));
    assert_eq!(world.rows().errors("k").len(), 1);
}

#[workflow]
async fn careful(probe: State<Probe>, mode: bool) -> Result<()> {
    repeat!(
        "work",
        every = secs(60),
        until = is_over(&probe),
        on_error = if mode {
            OnError::Fail
        } else {
            OnError::Continue
        },
        retry = RetryPolicy::new().max_attempts(2).jitter(false),
        |tick| flaky(&probe, tick)
    )
    .await?;
    Ok(())
}

#[scenario]
async fn a_failing_tick_may_end_the_repeat_and_stall_the_run(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 99);
    world.probe.set("wanted", 1);
    let forge = world.forge([careful::NAME]).await;
    let tick = (world.now() + 60 * SECOND) / SECOND;
    let run = forge.start("k", careful(true)).await.unwrap();
    let row = world.settle("k").await;
    assert_eq!(
        (row.state, row.stalled_by.as_deref()),
        (STALLED, Some("repeat$work"))
    );
    let error = run.result().await.unwrap_err().to_string();
    assert!(
        error.contains("repeat$work") && error.contains("attempt 2 failed"),
        "{error}"
    );
    let repeat = world.rows().record("k", "repeat$work");
    assert_eq!((repeat.state, repeat.attempts), (2, 2));
    let name = format!("repeat$work${tick}");
    assert_eq!(world.rows().record("k", &name).state, 2);
    assert_eq!(world.rows().attempts("k"), [(name.clone(), 1), (name, 2)]);
}

#[workflow]
async fn caught(probe: State<Probe>) -> Result<String> {
    let ended = repeat!(
        "work",
        every = secs(60),
        until = is_over(&probe),
        on_error = Fail,
        retry = RetryPolicy::none(),
        |tick| flaky(&probe, tick)
    )
    .await;
    let error = ended.unwrap_err();
    wait!("pause", secs(1)).await;
    Ok(format!(
        "{} {} {} {}",
        error.key, error.attempts, error.is_timeout, error.message
    ))
}

#[scenario]
async fn the_failure_is_a_value_that_every_replay_sees(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 99);
    world.probe.set("wanted", 1);
    let forge = world.forge([caught::NAME]).await;
    let run = forge.start("k", caught()).await.unwrap();
    world.settle("k").await;
    assert_eq!(run.result().await.unwrap(), "work 1 false attempt 1 failed");
    assert_eq!(world.probe.count("ran"), 1);
}

#[scenario]
async fn a_condition_that_fails_is_tried_by_the_same_policy_and_then_ends_the_repeat(
    world: &World,
) {
    world.start_of_second();
    world.probe.set("wanted", 1);
    world.probe.set("blind", 1);
    let forge = world.forge([careful::NAME]).await;
    forge.start("k", careful(false)).await.unwrap();
    let row = world.settle("k").await;
    assert_eq!(
        (row.state, row.stalled_by.as_deref()),
        (STALLED, Some("repeat$work"))
    );
    let numbered = [("repeat$work".to_owned(), 1), ("repeat$work".to_owned(), 2)];
    assert_eq!(world.rows().attempts("k"), numbered);
    assert_eq!(world.probe.count("ran"), 0);
}

#[scenario]
async fn a_condition_that_recovers_has_its_whole_budget_again(world: &World) {
    world.start_of_second();
    world.probe.set("wanted", 2);
    let forge = world.forge([careful::NAME]).await;
    let run = forge.start("k", careful(false)).await.unwrap();
    world.parked("k").await;
    for tick in 1..=2 {
        world.probe.set("blind", 1);
        world.clock.advance(secs(60));
        let failed = tick;
        world
            .until(|| world.rows().errors("k").len() == failed)
            .await;
        world.probe.set("blind", 0);
        world.parked("k").await;
        world.clock.advance(secs(1));
        world.noted("done", tick).await;
        world.quiet().await;
    }
    run.result().await.unwrap();
    assert_eq!(world.rows().run("k").state, COMPLETED);
}

#[scenario]
async fn a_retry_by_hand_runs_the_same_tick_with_a_whole_budget_in_a_window_of_its_own(
    world: &World,
) {
    world.start_of_second();
    world.probe.set("failures", 3);
    world.probe.set("wanted", 1);
    let forge = world.forge([careful::NAME]).await;
    let tick = world.now() + 60 * SECOND;
    let run = forge.start("k", careful(true)).await.unwrap();
    assert_eq!(world.settle("k").await.state, STALLED);
    // A week later the tick is long expired, were it not for the person who asked for it.
    world.clock.advance(days(7));
    let retried = forge.retry::<careful>("k").await.unwrap();
    assert_eq!(retried.records, ["repeat$work"]);
    world.settle("k").await;
    run.result().await.unwrap();
    let ticks: Vec<_> = world
        .probe
        .log()
        .into_iter()
        .filter(|l| l.starts_with("tick"))
        .collect();
    assert_eq!(ticks, vec![format!("tick {tick}"); 4]);
    let name = format!("repeat$work${}", tick / SECOND);
    let numbered: Vec<_> = (1..=3).map(|n| (name.clone(), n)).collect();
    assert_eq!(world.rows().attempts("k"), numbered);
    let row = world.rows().record("k", &name);
    assert_eq!((row.state, row.attempts, row.error_class), (1, 4, None));
}

#[workflow]
async fn in_no_time(probe: State<Probe>) -> Result<()> {
    let timeout = secs(0);
    repeat!(
        "work",
        every = secs(60),
        timeout = timeout,
        until = is_over(&probe),
        |t| flaky(&probe, t)
    )
    .await?;
    Ok(())
}

#[scenario]
async fn a_timeout_that_would_skip_every_tick_is_refused(world: &World) {
    let forge = world.forge([in_no_time::NAME]).await;
    let run = forge.start("k", in_no_time()).await.unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("say how late one may begin"), "{error}");
}
