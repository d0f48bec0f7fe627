//! `repeat!`: the grid, `until`, what a tick receives and leaves behind.

use chrono_forge::prelude::*;
use chrono_forge::{OnError, jiff};
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};
use jiff::Timestamp;

/// The ticks that bodies received, in order.
fn ticks(probe: &Probe) -> Vec<i64> {
    let tick = |line: String| line.strip_prefix("tick ").and_then(|at| at.parse().ok());
    probe.log().into_iter().filter_map(tick).collect()
}

async fn work(probe: &Probe, tick: Timestamp) -> Result<()> {
    probe.note("ran");
    probe.note(format!("tick {}", tick.as_microsecond()));
    Ok(())
}

async fn has_run(probe: &Probe, times: usize) -> Result<bool> {
    probe.note("asked");
    Ok(probe.count("ran") >= times)
}

#[workflow]
async fn periodic(probe: State<Probe>, times: usize) -> Result<String> {
    repeat!(
        "work",
        every = secs(10),
        until = has_run(&probe, times),
        |tick| { work(&probe, tick) }
    )
    .await?;
    Ok("over".to_owned())
}

#[scenario]
async fn it_runs_at_each_tick_until_its_condition_holds(world: &World) {
    world.start_of_second();
    let forge = world.forge([periodic::NAME]).await;
    let begun = world.now();
    let run = forge.start("k", periodic(3)).await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!(parked.wake_at, Some(begun + 10_000_000));
    assert_eq!(world.probe.count("ran"), 0);
    let row = world.settle("k").await;
    assert_eq!(row.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), "over");
    let expected = [10, 20, 30].map(|at| begun + at * 1_000_000);
    assert_eq!(ticks(&world.probe), expected);
    // Three ticks, then the condition was asked at once and not a period later.
    assert_eq!(world.now(), begun + 30_000_000);
    let repeat = world.rows().record("k", "repeat$work");
    assert_eq!((repeat.state, repeat.error_class), (1, None));
    for tick in expected {
        let name = format!("repeat$work${}", tick / 1_000_000);
        let row = world.rows().record("k", &name);
        assert_eq!((row.state, row.attempts), (1, 1));
        assert!(
            row.metadata
                .unwrap()
                .contains(&format!("\"scheduled_for\":{tick}"))
        );
    }
}

#[scenario]
async fn a_condition_that_holds_at_once_runs_nothing(world: &World) {
    world.start_of_second();
    let forge = world.forge([periodic::NAME]).await;
    let run = forge.start("k", periodic(0)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "over");
    assert_eq!(
        (world.probe.count("ran"), world.probe.count("asked")),
        (0, 1)
    );
    assert_eq!(world.rows().records("k").len(), 1);
}

#[workflow]
async fn forms(cx: Context, probe: State<Probe>) -> Result<()> {
    let label = String::from("borrowed");
    repeat!(
        "block",
        every = secs(1),
        until = { Ok(cx.get::<u32>("block")?.unwrap_or(0) == 2) },
        |_| {
            probe.note(&label);
            cx.update("block", |n: Option<u32>| n.unwrap_or(0) + 1)?;
            Ok(())
        }
    )
    .await?;
    repeat!(
        "async",
        every = secs(1),
        until = async { Ok::<_, anyhow::Error>(probe.count("async") == 1) },
        |tick: Timestamp| async {
            probe.note("async");
            probe.note(tick.to_string());
            Ok::<_, std::io::Error>(5)
        }
    )
    .await?;
    anyhow::ensure!(cx.get::<u32>("block")? == Some(2));
    Ok(())
}

#[scenario]
async fn bodies_have_the_forms_of_steps_and_what_ticks_write_is_kept(world: &World) {
    world.start_of_second();
    let forge = world.forge([forms::NAME]).await;
    let run = forge.start("k", forms()).await.unwrap();
    world.settle("k").await;
    run.result().await.unwrap();
    assert_eq!(
        (world.probe.count("borrowed"), world.probe.count("async")),
        (2, 1)
    );
    assert_eq!(world.rows().run("k").context["block"], 2);
}

#[workflow]
async fn starting(probe: State<Probe>, start: Timestamp, times: usize) -> Result<()> {
    repeat!(
        "work",
        every = secs(10),
        until = has_run(&probe, times),
        start_at = start,
        |tick| work(&probe, tick)
    )
    .await?;
    Ok(())
}

#[scenario]
async fn the_start_is_the_first_tick(world: &World) {
    world.start_of_second();
    let forge = world.forge([starting::NAME]).await;
    let start = world.now() + 3_000_000;
    let at = Timestamp::from_microsecond(start).unwrap();
    forge.start("k", starting(at, 2)).await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!((parked.wake_at, world.probe.count("ran")), (Some(start), 0));
    world.settle("k").await;
    assert_eq!(ticks(&world.probe), [start, start + 10_000_000]);
}

#[scenario]
async fn a_past_start_runs_at_once_and_catches_up(world: &World) {
    world.start_of_second();
    let forge = world.forge([starting::NAME]).await;
    let start = world.now() - 25_000_000;
    let at = Timestamp::from_microsecond(start).unwrap();
    let run = forge.start("k", starting(at, 3)).await.unwrap();
    run.result().await.unwrap();
    let expected = [0, 10, 20].map(|after| start + after * 1_000_000);
    assert_eq!(ticks(&world.probe), expected);
    // Real work, one after the other, in one pass.
    assert_eq!(world.rows().run("k").lock_epoch, 1);
}

#[scenario]
async fn lateness_never_moves_the_grid(world: &World) {
    world.start_of_second();
    let forge = world.forge([periodic::NAME]).await;
    let begun = world.now();
    forge.start("k", periodic(3)).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(13));
    world.noted("ran", 1).await;
    assert_eq!(world.parked("k").await.wake_at, Some(begun + 20_000_000));
    let frontier = format!("\"last_execution_at\":{}", begun + 10_000_000);
    let notes = world.rows().record("k", "repeat$work").metadata;
    assert!(
        notes
            .as_deref()
            .is_some_and(|notes| notes.contains(&frontier)),
        "{notes:?}"
    );
    world.settle("k").await;
    assert_eq!(
        ticks(&world.probe),
        [10, 20, 30].map(|at| begun + at * 1_000_000)
    );
}

#[scenario]
async fn an_early_wake_asks_the_condition_and_changes_no_tick(world: &World) {
    world.start_of_second();
    let forge = world.forge([periodic::NAME]).await;
    let begun = world.now();
    forge.start("k", periodic(1)).await.unwrap();
    world.parked("k").await;
    let asked = world.probe.count("asked");
    forge.wake::<periodic>("k").await.unwrap();
    world.noted("asked", asked + 1).await;
    assert_eq!(world.parked("k").await.wake_at, Some(begun + 10_000_000));
    assert_eq!(world.probe.count("ran"), 0);
    world.probe.note("ran");
    forge.wake::<periodic>("k").await.unwrap();
    world
        .until(|| world.rows().run("k").state == COMPLETED)
        .await;
    assert!(ticks(&world.probe).is_empty());
}

#[workflow]
async fn monthly(probe: State<Probe>, start: Timestamp) -> Result<()> {
    repeat!(
        "close",
        every = months(1),
        zone = "Europe/Berlin",
        until = has_run(&probe, 5),
        start_at = start,
        |tick| work(&probe, tick)
    )
    .await?;
    Ok(())
}

#[scenario]
async fn a_monthly_tick_on_the_31st_keeps_its_day_and_its_hour_across_dst(world: &World) {
    world.start_of_second();
    let forge = world.forge([monthly::NAME]).await;
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let first = jiff::civil::date(2100, 1, 31).at(9, 0, 0, 0);
    let start = zone.to_timestamp(first).unwrap();
    forge.start("k", monthly(start)).await.unwrap();
    world.settle("k").await;
    let local: Vec<String> = ticks(&world.probe)
        .into_iter()
        .map(|at| Timestamp::from_microsecond(at).unwrap())
        .map(|at| at.to_zoned(zone.clone()).datetime().to_string())
        .collect();
    let days = ["01-31", "02-28", "03-31", "04-30", "05-31"];
    assert_eq!(local, days.map(|day| format!("2100-{day}T09:00:00")));
}

#[workflow]
async fn by_cron(probe: State<Probe>, pattern: String, zone: String) -> Result<()> {
    repeat!(
        "report",
        cron = pattern,
        zone = zone,
        until = has_run(&probe, 2),
        |tick| work(&probe, tick)
    )
    .await?;
    Ok(())
}

#[scenario]
async fn a_pattern_in_a_zone_says_when(world: &World) {
    world.start_of_second();
    let forge = world.forge([by_cron::NAME]).await;
    let weekdays = by_cron("30 6 * * MON-FRI".into(), "America/New_York".into());
    forge.start("k", weekdays).await.unwrap();
    world.settle("k").await;
    let zone = jiff::tz::TimeZone::get("America/New_York").unwrap();
    for tick in ticks(&world.probe) {
        let local = Timestamp::from_microsecond(tick)
            .unwrap()
            .to_zoned(zone.clone());
        assert_eq!((local.hour(), local.minute()), (6, 30));
        assert!(local.weekday().to_monday_zero_offset() < 5, "{local}");
    }
    assert_eq!(world.probe.count("ran"), 2);
}

#[scenario]
async fn a_schedule_that_cannot_be_fails_the_run_and_says_why(world: &World) {
    world.start_of_second();
    let forge = world.forge([by_cron::NAME]).await;
    let broken = [
        ("61 * * * *", "UTC", "61"),
        ("0 0 31 2 *", "UTC", "never"),
        ("0 6 * * *", "Mars/Olympus", "Mars/Olympus"),
    ];
    for (key, (pattern, zone, told)) in broken.into_iter().enumerate() {
        let invocation = by_cron(pattern.into(), zone.into());
        let run = forge.start(&key.to_string(), invocation).await.unwrap();
        let error = run.result().await.unwrap_err().to_string();
        assert!(
            error.contains("repeat!(\"report\")") && error.contains(told),
            "{error}"
        );
    }
}

#[workflow]
async fn repeat_raced(probe: State<Probe>) -> Result<()> {
    tokio::select! {
        biased;
        ended = repeat!("work", every = secs(10), until = has_run(&probe, 99), |t| work(&probe, t)) => ended?,
        () = wait!("enough", secs(25)) => {}
    }
    Ok(())
}

#[scenario]
async fn a_repeat_that_lost_keeps_its_frontier_and_waits_for_nothing(world: &World) {
    world.start_of_second();
    let forge = world.forge([repeat_raced::NAME]).await;
    let run = forge.start("k", repeat_raced()).await.unwrap();
    world.settle("k").await;
    run.result().await.unwrap();
    assert_eq!(world.probe.count("ran"), 2);
    let repeat = world.rows().record("k", "repeat$work");
    assert_eq!((repeat.state, repeat.wake_at), (0, None));
    let notes = repeat.metadata.unwrap();
    assert!(
        notes.contains("last_execution_at") && !notes.contains(r#""tick":"#),
        "{notes}"
    );
    let records = world.rows().records("k");
    let ticks = records
        .iter()
        .filter(|row| row.step_name.starts_with("repeat$work$"));
    assert_eq!(ticks.count(), 2);
}

#[test]
fn going_on_is_the_default() {
    assert_eq!(OnError::default(), OnError::Continue);
}

#[workflow(retry = RetryPolicy::none())]
async fn charged_beside(cx: Context, probe: State<Probe>, start: Timestamp) -> Result<()> {
    let ticking = repeat!(
        "work",
        every = hours(1),
        start_at = start,
        until = {
            probe.set("seen", cx.get::<i64>("ticks")?.unwrap_or(0));
            has_run(&probe, 9).await
        },
        |tick| {
            work(&probe, tick).await?;
            cx.update("ticks", |ticks: Option<i64>| ticks.unwrap_or(0) + 1)?;
            Ok(())
        }
    );
    let charging = async {
        wait!("later", secs(1)).await;
        step!("charge", retry = RetryPolicy::none(), {
            anyhow::ensure!(probe.is("mended"), "declined");
            Ok(())
        })
        .await
    };
    let charged = tokio::select! {
        biased;
        charged = charging => charged,
        ended = ticking => ended,
    };
    if let Err(error) = charged {
        step!("apologise", { Ok(()) }).await?;
        return Err(error.into());
    }
    Ok(())
}

/// The body dropped the repeat, failed, and comes back to it on another way.
#[scenario]
async fn no_finished_tick_runs_again_after_a_retry_by_hand(world: &World) {
    world.start_of_second();
    let forge = world.forge([charged_beside::NAME]).await;
    let start = world.clock.now();
    let run = forge.start("k", charged_beside(start)).await.unwrap();
    world.settle("k").await;
    assert!(run.result().await.is_err());
    assert_eq!(ticks(&world.probe), [start.as_microsecond()]);
    world.probe.set("seen", 0);
    world.probe.set("mended", 1);
    let retry = forge.retry::<charged_beside>("k").records(["charge"]);
    retry.await.unwrap();
    run.result().await.unwrap();
    // What the tick wrote was not lost with the race: `until` counts on from it.
    assert_eq!(world.probe.get("seen"), 1);
    assert_eq!(ticks(&world.probe), [start.as_microsecond()]);
}
