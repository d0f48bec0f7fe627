//! Futures that the engine does not know.

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, RUNNING, World, scenario};

#[workflow]
async fn foreign_and_wait(probe: State<Probe>) -> Result<String> {
    let won = tokio::select! {
        () = wait!("deadline", hours(1)) => "deadline",
        () = probe.raised("signal") => "signal",
    };
    Ok(won.to_owned())
}

#[scenario]
async fn a_park_that_drops_a_foreign_await_says_so_on_the_run(world: &World) {
    let forge = world.forge([foreign_and_wait::NAME]).await;
    let run = forge.start("k", foreign_and_wait()).await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!(parked.options, r#"{"dropped_foreign_await":true}"#);
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), "deadline");
}

#[scenario]
async fn a_foreign_await_that_ends_within_the_grace_is_heard(world: &World) {
    let forge = world.forge([foreign_and_wait::NAME]).await;
    let run = forge.start("k", foreign_and_wait()).await.unwrap();
    world.probe.set("signal", 1);
    assert_eq!(run.result().await.unwrap(), "signal");
    let row = world.rows().run("k");
    assert_eq!((row.options.as_str(), row.lock_epoch), ("{}", 1));
    assert!(
        world.rows().records("k").is_empty(),
        "the wait was withdrawn"
    );
}

#[workflow]
async fn foreign_alone(probe: State<Probe>) -> Result<u32> {
    probe.note("begun");
    probe.raised("signal").await;
    Ok(1)
}

#[scenario]
async fn a_foreign_await_alone_never_parks(world: &World) {
    let forge = world.forge([foreign_alone::NAME]).await;
    let run = forge.start("k", foreign_alone()).await.unwrap();
    world.noted("begun", 1).await;
    // Longer than the grace that a park would give it.
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    assert_eq!(world.rows().run("k").state, RUNNING);
    world.probe.set("signal", 1);
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(world.probe.count("begun"), 1);
}

#[workflow]
async fn in_unordered() -> Result<u32> {
    use futures::StreamExt;
    let keys = ["x", "y"];
    let mut all: futures::stream::FuturesUnordered<_> =
        keys.iter().map(|key| step!(key, { Ok(()) })).collect();
    while let Some(done) = all.next().await {
        done?;
    }
    // The empty collection still keeps a clone of the body's waker.
    wait!("pause", hours(1)).await;
    Ok(1)
}

#[scenario]
async fn a_collection_of_operations_is_not_taken_for_a_foreign_await(world: &World) {
    let forge = world.forge([in_unordered::NAME]).await;
    forge.start("k", in_unordered()).await.unwrap();
    assert_eq!(world.parked("k").await.options, "{}");
    assert_eq!(world.settle("k").await.state, COMPLETED);
}

/// The step runs out of time while the body keeps it aside.
#[workflow]
async fn late_and_unpolled(probe: State<Probe>) -> Result<String> {
    let mut aside = Box::pin(step!("aside", timeout = secs(5), {
        probe.note("aside");
        std::future::pending::<()>().await;
        Ok(())
    }));
    tokio::select! {
        biased;
        _ = &mut aside => {}
        () = wait!("first", secs(2)) => {}
    }
    wait!("long", hours(1)).await;
    drop(aside);
    Ok("done".to_owned())
}

#[scenario]
async fn a_step_past_its_timeout_that_nobody_polls_gives_its_slot_up(world: &World) {
    let forge = world.forge([late_and_unpolled::NAME]).await;
    let run = forge.start("k", late_and_unpolled()).await.unwrap();
    world.noted("aside", 1).await;
    world.until(|| world.rows().records("k").len() == 1).await;
    world.clock.advance(secs(2));
    world
        .until(|| world.rows().order("k") == ["wait$first"])
        .await;
    world.clock.advance(secs(3));
    world.parked("k").await;
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(run.result().await.unwrap(), "done");
}

#[workflow]
async fn ticking_beside_a_wait(probe: State<Probe>) -> Result<()> {
    let ticking = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            probe.note("tick");
        }
    };
    tokio::select! {
        () = ticking => {}
        () = wait!("long", hours(1)) => {}
    }
    Ok(())
}

#[scenario]
async fn a_foreign_timer_that_fires_again_and_again_does_not_keep_a_run_from_parking(
    world: &World,
) {
    let forge = world.forge([ticking_beside_a_wait::NAME]).await;
    forge.start("k", ticking_beside_a_wait()).await.unwrap();
    let parked = world.parked("k").await;
    assert_eq!(parked.options, r#"{"dropped_foreign_await":true}"#);
    assert_eq!(world.settle("k").await.state, COMPLETED);
}
