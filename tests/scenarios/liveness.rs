//! A worker lives as long as its process does, whatever its runtime is kept from; what it executes meanwhile is
//! executed once.

mod judging;
mod lines;
mod telling;

use std::time::Duration;

use chrono_forge::Forge;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

/// The lease of these workers, and a span in which it would be over more than once.
const LEASE: Duration = Duration::from_millis(900);
const LONG: Duration = Duration::from_millis(2_500);

/// More runs than the runtime has threads.
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// A worker that has to renew its lease often.
async fn hasty<N: Into<String>>(world: &World, workflows: impl IntoIterator<Item = N>) -> Forge {
    let builder = world.builder(workflows).lease(LEASE);
    builder.heartbeat(LEASE / 3).open().await.unwrap()
}

/// Keeps the thread that polls it.
#[workflow]
async fn blocks(probe: State<Probe>) -> Result<u32> {
    let before = step!("before", {
        probe.note("before");
        Ok(1_u32)
    })
    .await?;
    let blocking = step!("blocking", {
        probe.note("blocking");
        std::thread::sleep(LONG);
        Ok(2_u32)
    })
    .await?;
    let after = step!("after", {
        probe.note("after");
        Ok(3_u32)
    })
    .await?;
    Ok(before + blocking + after)
}

#[scenario]
async fn a_step_that_blocks_its_runtime_past_the_lease_is_executed_once(world: &World) {
    let forge = hasty(world, [blocks::NAME]).await;
    let run = forge.start("k", blocks()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 6);
    assert_eq!(world.probe.log(), ["before", "blocking", "after"]);
    let row = world.rows().run("k");
    assert_eq!((row.state, row.crashes, row.lock_epoch), (COMPLETED, 0, 1));
}

/// The other worker serves nothing, so that whatever it takes away goes round in circles.
#[scenario(threads = 2)]
async fn nobody_takes_a_worker_for_dead_whose_runtime_is_blocked(world: &World) {
    let others = std::thread::spawn({
        let none: [&str; 0] = [];
        let builder = world.builder(none).lease(LEASE).heartbeat(LEASE / 3);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let forge = builder.open().await.unwrap();
                tokio::time::sleep(2 * LONG).await;
                forge.shutdown().await;
            });
        }
    });
    let forge = hasty(world, [blocks::NAME]).await;
    let mut runs = Vec::new();
    for key in KEYS {
        runs.push(forge.start(key, blocks()).await.unwrap());
    }
    for run in runs {
        assert_eq!(run.result().await.unwrap(), 6);
    }
    others.join().unwrap();
    for key in KEYS {
        let row = world.rows().run(key);
        assert_eq!((row.state, row.crashes, row.lock_epoch), (COMPLETED, 0, 1));
    }
    assert_eq!(world.probe.count("blocking"), KEYS.len());
}

/// Computes between its steps.
#[workflow]
async fn computes(probe: State<Probe>) -> Result<u32> {
    let mut sum = 0;
    for n in 0..3 {
        sum += step!("s{n}", {
            probe.note("step");
            Ok(1_u32)
        })
        .await?;
        probe.note("computes");
        std::thread::sleep(LEASE);
    }
    Ok(sum)
}

#[scenario]
async fn a_body_that_computes_past_the_lease_goes_on_where_it_was(world: &World) {
    let forge = hasty(world, [computes::NAME]).await;
    let run = forge.start("k", computes()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.probe.count("step"), 3);
    assert_eq!(world.probe.count("computes"), 3);
    assert_eq!(world.rows().run("k").lock_epoch, 1);
}

/// Two steps, the first of which lasts.
#[workflow]
async fn lasts(probe: State<Probe>) -> Result<u32> {
    let one = step!("one", {
        probe.note("one");
        tokio::time::sleep(LONG).await;
        Ok(1_u32)
    })
    .await?;
    let two = step!("two", {
        probe.note("two");
        Ok(2_u32)
    })
    .await?;
    Ok(one + two)
}

#[scenario]
async fn heartbeats_that_wait_behind_a_lock_cut_nothing_off(world: &World) {
    let forge = hasty(world, [lasts::NAME]).await;
    let run = forge.start("k", lasts()).await.unwrap();
    world.noted("one", 1).await;
    // The lease is over long before anybody can write again; nobody can take the run away meanwhile either.
    let hold = world.hold_workers();
    tokio::time::sleep(LONG + LEASE).await;
    assert_eq!(world.probe.log(), ["one"], "nothing new began in doubt");
    drop(hold);
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.probe.log(), ["one", "two"]);
    let row = world.rows().run("k");
    assert_eq!((row.state, row.crashes, row.lock_epoch), (COMPLETED, 0, 1));
}

#[scenario(threads = 2)]
async fn a_runtime_that_polls_nothing_is_seen_in_the_row_of_its_worker(world: &World) {
    let forge = hasty(world, [blocks::NAME]).await;
    let mut runs = Vec::new();
    for key in KEYS {
        runs.push(forge.start(key, blocks()).await.unwrap());
    }
    // Not a task: it is the runtime that is kept.
    let stuck = "SELECT count(*) FROM chrono_forge_workers WHERE stuck LIKE '%step!(\"blocking\") of blocks%'";
    let begun = std::time::Instant::now();
    while world.rows().number(stuck) == 0 {
        assert!(begun.elapsed() < 4 * LONG, "nothing says that it is stuck");
        std::thread::sleep(Duration::from_millis(20));
    }
    for run in runs {
        assert_eq!(run.result().await.unwrap(), 6);
    }
    let told = "SELECT count(*) FROM chrono_forge_workers WHERE stuck IS NOT NULL";
    world.until(|| world.rows().number(told) == 0).await;
}

/// Begun, it waits for good.
#[workflow]
async fn left_behind(probe: State<Probe>, name: String) -> Result<()> {
    step!("wait", {
        probe.note(name.clone());
        probe.raised(&name).await;
        Ok(())
    })
    .await?;
    Ok(())
}

#[scenario(threads = 2, postgres_only = "a file is locked as a whole")]
async fn a_dead_worker_whose_run_is_locked_keeps_nobody_from_the_runs_of_others(world: &World) {
    for name in ["first", "second"] {
        let builder = world.builder([left_behind::NAME]).lease(LEASE * 3);
        let forge = builder.heartbeat(LEASE).open().await.unwrap();
        forge.start(name, left_behind(name.into())).await.unwrap();
        world.noted(name, 1).await;
        forge.crash();
    }
    world.bury();
    let locked = world.hold_rows("chrono_forge_workflows", "key = 'first'");
    world.probe.set("first", 1);
    world.probe.set("second", 1);
    let heir = world.builder([left_behind::NAME]).lease(LEASE);
    let heir = heir.heartbeat(LEASE / 9).open().await.unwrap();
    let second = heir.get::<left_behind>("second").await.unwrap().unwrap();
    second.result().await.unwrap();
    drop(locked);
    let first = heir.get::<left_behind>("first").await.unwrap().unwrap();
    first.result().await.unwrap();
}
