//! Queues that nobody serves, and runs that wait long for a worker.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};
use chrono_forge_tests::telling::{heard, listen, told};

#[workflow(queue = "told-orders")]
async fn told_order() -> Result<()> {
    Ok(())
}

#[workflow(queue = "told-parcels")]
async fn told_parcel() -> Result<()> {
    Ok(())
}

#[scenario]
async fn a_queue_that_nobody_serves_is_told_at_open_and_at_the_first_start(world: &World) {
    listen();
    let backend = format!("{:?}", world.backend());
    let remedy = ".queue(\"told-orders\", slots)";
    let all = || told(&["WARN", "runs would wait", "`told_order`", remedy]);
    let before = all().len();
    let forge = world.forge([told_order::NAME]).await;
    assert!(all().len() > before, "{:#?}", all());
    for n in 0..3 {
        forge
            .start(&format!("{backend} {n}"), told_order())
            .await
            .unwrap();
    }
    let started = told(&["WARN", "a run was started", &format!("key=\"{backend} 0\"")]);
    assert_eq!(started.len(), 1, "{started:#?}");
    assert_eq!(
        told(&["a run was started", &format!("key=\"{backend} 1\"")]),
        [""; 0]
    );
    forge.shutdown().await;
}

#[workflow(queue = "told-letters")]
async fn told_letter() -> Result<()> {
    Ok(())
}

#[scenario]
async fn many_starts_for_a_queue_that_nobody_serves_are_told_once(world: &World) {
    listen();
    let backend = format!("{:?}", world.backend());
    let client = world.client().await;
    let letters = (0..2_500).map(|n| (format!("{backend} {n}"), told_letter()));
    assert_eq!(client.start_all(letters).await.unwrap().new, 2_500);
    let started = told(&["WARN", "a run was started", "`told_letter`", &backend]);
    assert_eq!(started.len(), 1, "{started:#?}");
    assert!(
        started[0].contains(&format!("key=\"{backend} 0\"")),
        "{started:#?}"
    );
}

#[scenario]
async fn a_queue_that_another_live_worker_serves_is_not(world: &World) {
    listen();
    let other = world.builder([told_parcel::NAME]).queue("told-parcels", 1);
    let other = other.open().await.unwrap();
    let forge = world.forge([told_parcel::NAME]).await;
    let key = format!("{:?} parcel", world.backend());
    let run = forge.start(&key, told_parcel()).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(told(&["WARN", "told_parcel"]), [""; 0]);
    drop(other);
}

#[workflow]
async fn told_left_out() -> Result<()> {
    Ok(())
}

#[scenario]
async fn runs_that_nobody_serves_are_told_of_each_minute(world: &World) {
    listen();
    let client = world.client().await;
    let of_this = ["WARN", "due runs wait", "`told_left_out`"];
    let before = told(&of_this).len();
    client.start("left out", told_left_out()).await.unwrap();
    let _forge = world.forge([told_order::NAME]).await;
    heard(&of_this, before + 1).await;
    for minute in 2..5 {
        // It sleeps by this clock, which stands until it does.
        while told(&of_this).len() < before + minute {
            world.clock.advance(Duration::from_secs(61));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let started = told(&[
        "WARN",
        "a run was started",
        "`told_left_out`",
        "key=\"left out\"",
    ]);
    assert!(!started.is_empty());
}

/// Keeps its slot until it is let go.
async fn hold(probe: &Probe) -> Result<()> {
    probe.note("holds");
    probe.raised("let go").await;
    Ok(())
}

#[workflow]
async fn told_crowded(probe: State<Probe>) -> Result<()> {
    step!(hold(&probe)).await?;
    Ok(())
}

#[workflow]
async fn told_late(probe: State<Probe>) -> Result<()> {
    step!(hold(&probe)).await?;
    Ok(())
}

#[scenario]
async fn a_run_that_waits_long_for_a_worker_is_told_of(world: &World) {
    listen();
    let of_this = [
        "WARN",
        "workflow=\"told_crowded\"",
        "wait long for a worker",
        "slots=1",
    ];
    let before = told(&of_this).len();
    let forge = world
        .builder([told_crowded::NAME])
        .queue("default", 1)
        .open();
    let forge = forge.await.unwrap();
    for n in 0..4 {
        forge
            .start(&format!("crowded {n}"), told_crowded())
            .await
            .unwrap();
    }
    world.noted("holds", 1).await;
    while told(&of_this).len() == before {
        world.clock.advance(Duration::from_secs(61));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.probe.set("let go", 1);
    for n in 0..4 {
        world.settle(&format!("crowded {n}")).await;
    }
}

#[scenario]
async fn what_waited_while_no_worker_was_there_is_no_lack_of_room(world: &World) {
    listen();
    let of_this = ["WARN", "workflow=\"told_late\"", "wait long for a worker"];
    let before = told(&of_this).len();
    let nothing: [&str; 0] = [];
    let client = world.builder(nothing).worker(false).open().await.unwrap();
    for n in 0..4 {
        client
            .start(&format!("late {n}"), told_late())
            .await
            .unwrap();
    }
    world.clock.advance(Duration::from_secs(600));
    let builder = world.builder([told_late::NAME]).queue("default", 1);
    let _forge = builder.open().await.unwrap();
    world.noted("holds", 1).await;
    // The first look is at the open.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        told(&of_this).len(),
        before,
        "they have not waited under it"
    );
    while told(&of_this).len() == before {
        world.clock.advance(Duration::from_secs(61));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.probe.set("let go", 1);
    for n in 0..4 {
        world.settle(&format!("late {n}")).await;
    }
}
