//! Reads that take long leave everything else alone.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World, scenario};
use futures::TryStreamExt;

/// As many connections read, and as many runs want to at once.
const READERS: usize = 4;

/// What a read of results in the order of completion asks for, page after page.
const ORDER: &str = "SELECT w.id, w.completed_at";

#[workflow]
async fn read_leaf(n: u64) -> Result<u64> {
    Ok(n)
}

#[workflow]
async fn reads_much(count: u64) -> Result<u64> {
    let leaves = branch!("b", automerge = true, {
        spawn_each!("c", 0..count, |n| read_leaf(n))
    });
    let leaves = leaves.await?;
    let mut outputs = leaves.outputs_by_completion();
    let mut sum = 0;
    while let Some((_, output)) = outputs.try_next().await? {
        sum += output;
    }
    Ok(sum)
}

#[workflow]
async fn rests(probe: State<Probe>) -> Result<u32> {
    let one = step!("one", { Ok(1_u32) }).await?;
    wait!("rest", Duration::from_secs(3_600)).await;
    probe.note("rested");
    Ok(one + step!("two", { Ok(2_u32) }).await?)
}

/// Who waits for an instant is found by reading, who goes on has its records read, and who asks for
/// a run reads it.
#[scenario(threads = 2)]
async fn reads_that_take_long_hold_up_neither_the_scheduler_nor_calls(world: &World) {
    let statements = world.statements();
    let names = [reads_much::NAME, read_leaf::NAME, rests::NAME];
    let forge = world.forge(names).await;
    let reading = statements.hold(ORDER);
    let mut readers = Vec::new();
    for n in 0..READERS {
        let run = forge.start(&format!("reads{n}"), reads_much(5)).await;
        readers.push(run.unwrap());
    }
    // As many of them as may: when no other has come for a while there will be none.
    let mut counted = 0;
    while reading.count() > counted {
        counted = reading.count();
        let _ = world.soon(world.until(|| reading.count() > counted)).await;
    }
    let rests_on = forge.start("rests", rests()).await.unwrap();
    world.parked("rests").await;
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(rests_on.result().await.unwrap(), 3);
    for n in 0..20 {
        let key = format!("small{n}");
        let run = forge.start(&key, read_leaf(n)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), n);
        let found = forge.get::<read_leaf>(&key).await.unwrap();
        assert!(found.is_some());
        forge.wake::<read_leaf>(&key).await.unwrap();
    }
    assert!(reading.count() > 0);
    drop(reading);
    for run in readers {
        assert_eq!(run.result().await.unwrap(), 10);
    }
}

/// Only who asks for one run's whole row says this.
const ROW: &str = "w.started_at, w.completed_at, e.error_class";

/// A handler whose client hangs up gives its call up; the thread that reads for it stays where it
/// is.
#[scenario(threads = 2)]
async fn calls_that_are_given_up_take_no_more_places_than_those_that_are_not(world: &World) {
    let statements = world.statements();
    let forge = world.forge([read_leaf::NAME, rests::NAME]).await;
    let run = forge.start("asked", read_leaf(1)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    let reading = statements.hold(ROW);
    for _ in 0..READERS * 3 {
        let call = world.soon(run.state()).await;
        assert!(call.is_none(), "nobody was answered");
    }
    assert!(
        (1..READERS).contains(&reading.count()),
        "{}",
        reading.count()
    );
    // The engine's own reads have a place beside them.
    let rests_on = forge.start("rests", rests()).await.unwrap();
    world.parked("rests").await;
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(rests_on.result().await.unwrap(), 3);
    drop(reading);
    assert_eq!(run.state().await.unwrap(), RunState::Completed);
}
