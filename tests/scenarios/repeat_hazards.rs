//! `repeat!` where it is easy to be wrong: wake-ups beside retries, deadlines that passed while nobody
//! looked, crashes before the first tick, a repeat that leaves.

use chrono_forge::jiff::Timestamp;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::scenario::{Probe, World, scenario};

const SECOND: i64 = 1_000_000;

async fn flaky(probe: &Probe) -> Result<()> {
    let nth = probe.nth("ran");
    anyhow::ensure!(nth > probe.get("failures") as usize, "attempt {nth} failed");
    probe.note("done");
    Ok(())
}

async fn looks(probe: &Probe) -> Result<bool> {
    anyhow::ensure!(!probe.is("blind"), "cannot see");
    if probe.is("slow") {
        probe.note("looking");
        probe.raised("seen").await;
    }
    Ok(probe.is("over"))
}

#[workflow]
async fn patient_repeat(probe: State<Probe>) -> Result<()> {
    let ended = repeat!(
        "work",
        every = hours(1),
        timeout = days(1),
        until = looks(&probe),
        retry = RetryPolicy::new()
            .base(secs(600))
            .cap(hours(1))
            .jitter(false),
        |_| flaky(&probe)
    )
    .await;
    if let Err(error) = ended {
        step!("told", {
            probe.note(error.to_string());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[scenario]
async fn a_wake_never_retries_a_tick_early_however_long_the_condition_takes(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 1);
    let forge = world.forge([patient_repeat::NAME]).await;
    forge.start("k", patient_repeat()).await.unwrap();
    world.parked("k").await;
    world.clock.advance(hours(1));
    world.noted("ran", 1).await;
    let retry_at = world.parked("k").await.wake_at;
    assert_eq!(retry_at, Some(world.now() + 600 * SECOND));
    world.probe.set("slow", 1);
    forge.wake::<patient_repeat>("k").await.unwrap();
    world.noted("looking", 1).await;
    let is_noted = || {
        let notes = world.rows().record("k", "repeat$work").metadata;
        notes.is_some_and(|notes| notes.contains("executing"))
    };
    world.clock.advance(secs(1));
    world.until(is_noted).await;
    world.probe.set("slow", 0);
    world.probe.set("seen", 1);
    world.quiet().await;
    assert_eq!(world.rows().run("k").wake_at, retry_at);
    assert_eq!(world.probe.count("ran"), 1);
}

#[scenario]
async fn a_condition_that_failed_meanwhile_retries_no_tick_early(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 2);
    let forge = world.forge([patient_repeat::NAME]).await;
    forge.start("k", patient_repeat()).await.unwrap();
    world.parked("k").await;
    world.clock.advance(hours(1));
    world.noted("ran", 1).await;
    world.parked("k").await;
    world.clock.advance(secs(600));
    world.noted("ran", 2).await;
    let retry_at = world.parked("k").await.wake_at;
    assert_eq!(retry_at, Some(world.now() + 1_200 * SECOND));
    world.probe.set("blind", 1);
    forge.wake::<patient_repeat>("k").await.unwrap();
    world.until(|| world.rows().errors("k").len() == 3).await;
    let looks_at = world.parked("k").await.wake_at.unwrap();
    assert_eq!(looks_at, world.now() + 600 * SECOND);
    world.probe.set("blind", 0);
    world.move_to(looks_at);
    world.quiet().await;
    assert_eq!(world.rows().run("k").wake_at, retry_at);
    assert_eq!(world.probe.count("ran"), 2);
}

#[scenario]
async fn a_condition_that_gives_up_leaves_no_tick_under_way(world: &World) {
    world.start_of_second();
    world.probe.set("failures", 1);
    let forge = world.forge([patient_repeat::NAME]).await;
    let run = forge.start("k", patient_repeat()).await.unwrap();
    world.parked("k").await;
    world.clock.advance(hours(1));
    world.noted("ran", 1).await;
    world.parked("k").await;
    world.probe.set("blind", 1);
    forge.wake::<patient_repeat>("k").await.unwrap();
    world.until(|| world.rows().errors("k").len() == 2).await;
    world.settle("k").await;
    run.result().await.unwrap();
    let pending: Vec<_> = world
        .rows()
        .records("k")
        .into_iter()
        .filter(|row| row.state == 0)
        .map(|row| row.step_name)
        .collect();
    assert!(pending.is_empty(), "{pending:?}");
}

#[workflow]
async fn from_now(probe: State<Probe>) -> Result<()> {
    repeat!(
        "work",
        every = hours(1),
        start_at = Timestamp::from_second(probe.get("now"))?,
        until = { Ok(probe.count("done") > 1) },
        |tick| {
            probe.note(format!("tick {}", tick.as_second()));
            flaky(&probe).await
        }
    )
    .await?;
    Ok(())
}

#[scenario]
async fn a_first_tick_that_was_cut_off_runs_again_with_the_same_instant(world: &World) {
    world.start_of_second();
    let now = world.now() / SECOND;
    world.probe.set("now", now);
    // The condition's, then the tick's.
    world.failpoints.arm("step.after.work", 2);
    let forge = world.forge([from_now::NAME]).await;
    let run = forge.start("k", from_now()).await.unwrap();
    world.noted("ran", 1).await;
    drop(run);
    world.crash(&forge);
    drop(forge);
    world.clock.advance(secs(30));
    world.probe.set("now", now + 30);
    world.probe.note("restarted");
    let _forge = world.forge([from_now::NAME]).await;
    world
        .until(|| {
            world
                .probe
                .log()
                .iter()
                .filter(|l| l.starts_with("tick"))
                .count()
                == 2
        })
        .await;
    let ticks: Vec<_> = world
        .probe
        .log()
        .into_iter()
        .filter(|l| l.starts_with("tick"))
        .collect();
    assert_eq!(ticks, vec![format!("tick {now}"); 2]);
}

#[scenario]
async fn a_tick_that_was_cut_off_is_skipped_once_its_window_is_over(world: &World) {
    world.start_of_second();
    let now = world.now() / SECOND;
    world.probe.set("now", now);
    world.failpoints.arm("step.after.work", 2);
    let forge = world.forge([from_now::NAME]).await;
    forge.start("k", from_now()).await.unwrap();
    world.noted("ran", 1).await;
    world.crash(&forge);
    drop(forge);
    world.clock.advance(minutes(90));
    let _forge = world.forge([from_now::NAME]).await;
    world.noted("ran", 2).await;
    world.noted(&format!("tick {}", now + 3_600), 1).await;
    world.quiet().await;
    let row = world.rows().record("k", &format!("repeat$work${now}"));
    assert_eq!(row.state, 2);
    assert!(row.metadata.unwrap().contains("\"fast_forwarded\":1"));
}

#[workflow]
async fn limited(probe: State<Probe>, limit_secs: u64) -> Result<()> {
    tokio::select! {
        biased;
        ended = repeat!("work", every = secs(10), until = looks(&probe), |_| flaky(&probe)) => ended?,
        () = wait!("limit", secs(limit_secs)) => {}
    }
    Ok(())
}

#[backends]
async fn after_a_sleep_a_deadline_comes_before_the_ticks_behind_it(backend: Backend) {
    for (limit, expected) in [(5, 0), (10, 0), (15, 1)] {
        scenario(backend, async |world| {
            world.start_of_second();
            let forge = world.forge([limited::NAME]).await;
            let run = forge.start("k", limited(limit)).await.unwrap();
            world.parked("k").await;
            world.clock.advance(secs(60));
            run.result().await.unwrap();
            assert_eq!(world.probe.count("ran"), expected, "limit {limit}");
        })
        .await;
    }
}

#[workflow]
async fn retry_limited(probe: State<Probe>) -> Result<()> {
    let steady = RetryPolicy::new().base(secs(10)).jitter(false);
    tokio::select! {
        biased;
        done = step!("work", retry = steady, flaky(&probe)) => done?,
        () = wait!("limit", secs(5)) => {}
    }
    Ok(())
}

#[scenario]
async fn after_a_sleep_a_deadline_comes_before_the_retry_behind_it(world: &World) {
    world.probe.set("failures", 1);
    let forge = world.forge([retry_limited::NAME]).await;
    let run = forge.start("k", retry_limited()).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(60));
    run.result().await.unwrap();
    assert_eq!(world.probe.count("ran"), 1);
}

#[workflow]
async fn counting(cx: Context, probe: State<Probe>) -> Result<Option<u32>> {
    tokio::select! {
        biased;
        ended = repeat!("work", every = secs(10), until = looks(&probe), |_| {
            probe.note("ran");
            cx.update("sent", |n: Option<u32>| n.unwrap_or(0) + 1)?;
            Ok(())
        }) => ended?,
        () = wait!("limit", secs(25)) => {}
    }
    Ok(cx.get("sent")?)
}

#[scenario]
async fn the_context_that_operators_see_is_that_of_the_body_once_a_repeat_has_left(world: &World) {
    world.start_of_second();
    let forge = world.forge([counting::NAME]).await;
    let run = forge.start("k", counting()).await.unwrap();
    world.settle("k").await;
    let sent = run.result().await.unwrap();
    assert_eq!(world.probe.count("ran"), 2);
    let shown = world.rows().run("k").context["sent"].as_u64();
    assert_eq!(shown, sent.map(u64::from));
}

#[workflow]
async fn brief(probe: State<Probe>) -> Result<()> {
    repeat!(
        "work",
        every = hours(1),
        timeout = secs(5),
        until = { Ok(probe.count("ran") > 2) },
        retry = RetryPolicy::new().base(secs(10)).jitter(false),
        |_| flaky(&probe)
    )
    .await?;
    Ok(())
}

#[backends]
async fn a_retry_that_comes_behind_the_window_is_none_however_exact_the_clock_is(backend: Backend) {
    for late_micros in [0, 1] {
        scenario(backend, async |world| {
            world.start_of_second();
            world.probe.set("failures", 9);
            let forge = world.forge([brief::NAME]).await;
            forge.start("k", brief()).await.unwrap();
            let tick = world.parked("k").await.wake_at.unwrap();
            world.move_to(tick);
            world.noted("ran", 1).await;
            let end = world.parked("k").await.wake_at.unwrap();
            assert_eq!(end, tick + 5 * SECOND);
            world.move_to(end + late_micros);
            world.quiet().await;
            assert_eq!(world.probe.count("ran"), 1, "late by {late_micros}");
            let name = format!("repeat$work${}", tick / SECOND);
            let row = world.rows().record("k", &name);
            assert_eq!(
                (row.state, row.error_class.as_deref()),
                (2, Some("timeout"))
            );
            assert_eq!(world.rows().run("k").wake_at, Some(tick + 3_600 * SECOND));
        })
        .await;
    }
}

#[workflow]
async fn panicky(probe: State<Probe>) -> Result<()> {
    repeat!(
        "work",
        every = secs(10),
        until = {
            if probe.is("panic_until") {
                probe.set("panic_until", 0);
                panic!("until");
            }
            Ok(probe.count("done") > 0)
        },
        |_| {
            if probe.nth("ran") == 1 {
                panic!("tick");
            }
            probe.note("done");
            Ok(())
        }
    )
    .await?;
    Ok(())
}

#[scenario]
async fn panics_of_a_tick_and_of_its_condition_are_failed_attempts(world: &World) {
    world.start_of_second();
    world.probe.set("panic_until", 1);
    let forge = world.forge([panicky::NAME]).await;
    let run = forge.start("k", panicky()).await.unwrap();
    world.settle("k").await;
    run.result().await.unwrap();
    assert_eq!(world.probe.count("ran"), 2);
    assert_eq!(world.rows().errors("k").len(), 2);
}

#[workflow]
async fn aside(probe: State<Probe>) -> Result<()> {
    let mut kept = std::pin::pin!(repeat!(
        "work",
        every = secs(10),
        until = looks(&probe),
        |_| {
            probe.note("begun");
            probe.raised("go").await;
            probe.note("done");
            Ok(())
        }
    ));
    tokio::select! {
        biased;
        ended = &mut kept => ended?,
        () = wait!("limit", secs(15)) => {}
    }
    wait!("pause", hours(1)).await;
    step!("then", { Ok(()) }).await?;
    Ok(())
}

#[scenario]
async fn a_tick_that_is_kept_aside_holds_no_worker_and_ends_with_the_body(world: &World) {
    world.start_of_second();
    let forge = world.forge([aside::NAME]).await;
    let run = forge.start("k", aside()).await.unwrap();
    world.parked("k").await;
    world.clock.advance(secs(10));
    world.noted("begun", 1).await;
    world.clock.advance(secs(5));
    world
        .until(|| {
            world
                .rows()
                .records("k")
                .iter()
                .any(|r| r.step_name == "wait$pause")
        })
        .await;
    world.probe.set("go", 1);
    world.parked("k").await;
    world.settle("k").await;
    run.result().await.unwrap();
    let pending: Vec<_> = world
        .rows()
        .records("k")
        .into_iter()
        .filter(|r| r.state == 0)
        .map(|r| r.step_name)
        .collect();
    assert!(pending.is_empty(), "{pending:?}");
    assert_eq!(world.probe.count("done"), 0);
}
