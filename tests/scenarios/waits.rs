//! `wait!`: a deadline that is fixed once.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

#[workflow]
async fn sleeper(probe: State<Probe>, span: Duration) -> Result<()> {
    probe.note("body");
    wait!("nap", span).await;
    probe.note("awake");
    Ok(())
}

#[scenario]
async fn a_wait_holds_no_worker_and_keeps_its_deadline_in_both_rows(world: &World) {
    let forge = world.forge([sleeper::NAME]).await;
    let deadline = world.now() + 172_800_000_000;
    forge.start("k", sleeper(days(2))).await.unwrap();
    let run = world.parked("k").await;
    assert_eq!((run.wake_at, run.locked_by), (Some(deadline), None));
    let record = world.rows().record("k", "wait$nap");
    assert_eq!(
        (record.wake_at, record.state, record.seq),
        (Some(deadline), 0, None)
    );
    world.move_to(deadline - 1);
    assert!(
        world.soon(world.noted("awake", 1)).await.is_none(),
        "a microsecond early"
    );
    world.move_to(deadline);
    assert_eq!(world.settle("k").await.state, COMPLETED);
    let record = world.rows().record("k", "wait$nap");
    assert_eq!(
        (record.state, record.seq, record.wake_at),
        (1, Some(1), None)
    );
    assert_eq!((record.error_class, record.attempts), (None, 0));
    assert_eq!(world.probe.count("body"), 2);
}

#[scenario]
async fn neither_a_wake_up_nor_a_crash_restarts_a_wait(world: &World) {
    let forge = world.forge([sleeper::NAME]).await;
    forge.start("k", sleeper(hours(2))).await.unwrap();
    let deadline = world.parked("k").await.wake_at;
    world.clock.advance(hours(1));
    forge.wake::<sleeper>("k").await.unwrap();
    world.noted("body", 2).await;
    assert_eq!(world.parked("k").await.wake_at, deadline, "woken halfway");
    world.crash(&forge);
    drop(forge);
    let forge = world.forge([sleeper::NAME]).await;
    world.clock.advance(minutes(30));
    forge.wake::<sleeper>("k").await.unwrap();
    world.noted("body", 3).await;
    assert_eq!(world.parked("k").await.wake_at, deadline, "after a crash");
    assert_eq!(world.rows().records("k").len(), 1);
    world.clock.advance(minutes(30));
    world.noted("awake", 1).await;
}

#[workflow]
async fn several(probe: State<Probe>) -> Result<()> {
    tokio::join!(
        async {
            wait!("long", hours(3)).await;
            probe.note("long");
        },
        async {
            wait!("short", hours(1)).await;
            probe.note("short");
        },
    );
    Ok(())
}

#[scenario]
async fn a_run_is_woken_at_the_first_of_its_deadlines(world: &World) {
    let forge = world.forge([several::NAME]).await;
    let begun = world.now();
    forge.start("k", several()).await.unwrap();
    assert_eq!(world.parked("k").await.wake_at, Some(begun + 3_600_000_000));
    world.clock.advance(hours(1));
    world.noted("short", 1).await;
    assert_eq!(
        world.parked("k").await.wake_at,
        Some(begun + 3 * 3_600_000_000)
    );
    world.settle("k").await;
    assert_eq!(world.rows().order("k"), ["wait$short", "wait$long"]);
}

#[workflow]
async fn until_instant(instant: jiff::Timestamp) -> Result<()> {
    wait!("date", until = instant).await;
    Ok(())
}

#[scenario]
async fn a_wait_until_an_instant_ends_there_and_a_past_one_at_once(world: &World) {
    let forge = world.forge([until_instant::NAME]).await;
    let instant = jiff::Timestamp::from_microsecond(world.now() + 5_000_000).unwrap();
    forge.start("future", until_instant(instant)).await.unwrap();
    let wake_at = world.parked("future").await.wake_at;
    assert_eq!(wake_at, Some(instant.as_microsecond()));
    let past = forge
        .start("past", until_instant(jiff::Timestamp::UNIX_EPOCH))
        .await
        .unwrap();
    past.result().await.unwrap();
    assert_eq!(world.rows().run("past").lock_epoch, 1, "without a park");
    assert_eq!(world.rows().order("past"), ["wait$date"]);
}

#[scenario]
async fn a_wait_of_nothing_and_one_without_end_do_what_they_say(world: &World) {
    let forge = world.forge([sleeper::NAME]).await;
    let none = forge.start("none", sleeper(Duration::ZERO)).await.unwrap();
    none.result().await.unwrap();
    forge
        .start("forever", sleeper(Duration::MAX))
        .await
        .unwrap();
    let wake_at = world.parked("forever").await.wake_at.unwrap();
    assert!(wake_at > world.now() + 86_400_000_000 * 365 * 1_000);
}

#[scenario]
async fn the_engine_wakes_a_short_wait_on_the_real_clock_without_polling(world: &World) {
    let forge = world.builder([sleeper::NAME]);
    let forge = forge
        .clock(std::sync::Arc::new(chrono_forge::SystemClock))
        .open()
        .await
        .unwrap();
    for round in 0..20 {
        let run = forge
            .start(&format!("k{round}"), sleeper(Duration::from_millis(3)))
            .await
            .unwrap();
        // The poll interval is an hour.
        run.result().await.unwrap();
    }
}

#[workflow]
async fn dropped_wait(probe: State<Probe>) -> Result<String> {
    let won = tokio::select! {
        biased;
        () = wait!("deadline", hours(1)) => "deadline",
        step = step!("quick", { probe.note("quick"); Ok(()) }) => { step?; "quick" }
    };
    wait!("pause", secs(1)).await;
    Ok(won.to_owned())
}

#[scenario]
async fn a_wait_that_the_body_drops_leaves_no_row(world: &World) {
    let forge = world.forge([dropped_wait::NAME]).await;
    forge.start("k", dropped_wait()).await.unwrap();
    world.settle("k").await;
    assert_eq!(world.rows().order("k"), ["step$quick", "wait$pause"]);
    assert_eq!(world.rows().records("k").len(), 2);
    assert_eq!(world.probe.count("quick"), 1);
}
