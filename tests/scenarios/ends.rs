//! The end of an engine belongs to the engine: whoever asked for it may go away, ask twice, or be a part of it.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge::{Error, Forge};
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, Slot, World, scenario};

/// Longer than any test may take.
const FOREVER: Duration = Duration::from_secs(3_600);

/// Long enough for a first look, which is all that the caller waits for.
const GLANCE: Duration = Duration::from_millis(20);

fn live_workers(world: &World) -> i64 {
    let live = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL";
    world.rows().number(live)
}

fn held_runs(world: &World) -> i64 {
    let held =
        "SELECT count(*) FROM chrono_forge_workflows WHERE locked_by IS NOT NULL OR state = 1";
    world.rows().number(held)
}

fn lock_files(world: &World) -> usize {
    let files = std::fs::read_dir(world.dir()).unwrap();
    let names = files.map(|file| file.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().contains("-worker-"))
        .count()
}

fn assert_nothing_is_left(world: &World) {
    let left = (live_workers(world), held_runs(world), lock_files(world));
    assert_eq!(left, (0, 0, 0), "live workers, held runs, lock files");
}

#[workflow]
async fn held_up(probe: State<Probe>) -> Result<u32> {
    Ok(step!("one", {
        probe.note("one");
        probe.raised("one").await;
        Ok(1_u32)
    })
    .await?)
}

async fn opened(world: &World, grace: Duration) -> Forge {
    let builder = world.builder([held_up::NAME]);
    builder.shutdown_grace(grace).open().await.unwrap()
}

#[scenario]
async fn a_shutdown_whose_caller_goes_away_goes_on_to_its_end(world: &World) {
    let forge = opened(world, Duration::from_millis(200)).await;
    forge.start("k", held_up()).await.unwrap();
    world.noted("one", 1).await;
    let left = tokio::time::timeout(GLANCE, forge.shutdown()).await;
    assert!(left.is_err(), "the step outlasts the glance");
    world.until(|| live_workers(world) == 0).await;
    forge.shutdown().await;
    assert_nothing_is_left(world);
    let row = world.rows().run("k");
    assert_eq!((row.state, row.crashes), (IDLE, 0));

    world.probe.set("one", 1);
    let forge = opened(world, FOREVER).await;
    let run = forge.get::<held_up>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
}

/// Its process died after its row had been stopped and before its file was removed.
#[scenario]
async fn a_lock_file_that_a_dead_worker_left_is_gone_with_the_next_one(world: &World) {
    let forge = opened(world, FOREVER).await;
    // A server's workers have no files, and touch none.
    let of_worker = lock_files(world);
    forge.shutdown().await;
    let left = world.dir().join("forge.db-worker-4000.lock");
    std::fs::write(&left, "").unwrap();
    let forge = opened(world, FOREVER).await;
    assert_eq!(left.exists(), of_worker == 0);
    assert_eq!(lock_files(world), 1);
    forge.shutdown().await;
    assert_eq!(lock_files(world), usize::from(of_worker == 0));
}

#[scenario]
async fn whoever_asks_for_a_shutdown_waits_for_the_same_end(world: &World) {
    let forge = opened(world, Duration::from_millis(200)).await;
    forge.start("k", held_up()).await.unwrap();
    world.noted("one", 1).await;
    let first = forge.shutdown();
    tokio::pin!(first);
    assert!(world.soon(&mut first).await.is_none());
    let second = async {
        forge.shutdown().await;
        assert_nothing_is_left(world);
    };
    let third = async {
        forge.serve().await.unwrap();
        assert_nothing_is_left(world);
    };
    tokio::join!(first, second, third);
    forge.shutdown().await;
}

#[scenario]
async fn what_is_started_while_the_engine_ends_is_claimed_by_others_or_refused(world: &World) {
    let forge = opened(world, FOREVER).await;
    forge.start("k", held_up()).await.unwrap();
    world.noted("one", 1).await;
    let left = tokio::time::timeout(GLANCE, forge.shutdown()).await;
    assert!(left.is_err());
    let late = forge.start("late", held_up()).await.unwrap();
    let row = world.rows().run("late");
    assert_eq!((row.state, row.locked_by), (IDLE, None));

    world.probe.set("one", 1);
    forge.shutdown().await;
    assert_nothing_is_left(world);
    let ended = late.result().await.unwrap_err();
    assert!(
        matches!(ended, chrono_forge::RunError::Forge(Error::Closed)),
        "{ended:?}"
    );
    let refused = forge.start("later", held_up()).await.unwrap_err();
    assert!(matches!(refused, Error::Closed), "{refused:?}");
    assert!(world.rows().find("later").is_none());

    let forge = opened(world, FOREVER).await;
    let late = forge.get::<held_up>("late").await.unwrap().unwrap();
    assert_eq!(late.result().await.unwrap(), 1);
}

#[scenario]
async fn starts_beside_a_shutdown_leave_no_claim_behind(world: &World) {
    for round in 0..10 {
        let forge = opened(world, FOREVER).await;
        world.probe.set("one", 1);
        let started = async {
            for n in 0..1_000 {
                let key = format!("r{round}-{n}");
                if forge.start(&key, held_up()).await.is_err() {
                    return;
                }
            }
        };
        let ended = async {
            tokio::time::sleep(Duration::from_millis(round)).await;
            forge.shutdown().await;
        };
        tokio::join!(started, ended);
        assert_nothing_is_left(world);
    }
}

#[scenario]
async fn an_engine_whose_last_handle_goes_while_it_ends_leaves_its_runs_to_others(world: &World) {
    let forge = opened(world, FOREVER).await;
    forge.start("k", held_up()).await.unwrap();
    world.noted("one", 1).await;
    let left = tokio::time::timeout(GLANCE, forge.shutdown()).await;
    assert!(left.is_err());
    drop(forge);
    let forge = opened(world, FOREVER).await;
    world.noted("one", 2).await;
    world.probe.set("one", 1);
    let run = forge.get::<held_up>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(live_workers(world), 1);
}

#[workflow]
async fn stops_its_engine_in_a_step(engine: State<Slot>, probe: State<Probe>) -> Result<u32> {
    step!("stop", {
        probe.note("stop");
        engine.get().shutdown().await;
        Ok(())
    })
    .await?;
    Ok(step!("after", { Ok(2_u32) }).await?)
}

#[workflow]
async fn stops_its_engine_in_the_body(engine: State<Slot>, probe: State<Probe>) -> Result<u32> {
    if !probe.is("stopped") {
        probe.set("stopped", 1);
        engine.get().shutdown().await;
    }
    Ok(step!("after", { Ok(2_u32) }).await?)
}

async fn stops_itself(world: &World, start: impl AsyncFn(&Forge)) {
    let names = [
        stops_its_engine_in_a_step::NAME,
        stops_its_engine_in_the_body::NAME,
    ];
    let slot = Slot::default();
    let open = async || {
        let builder = world.builder(names).state(slot.clone());
        builder.shutdown_grace(FOREVER).open().await.unwrap()
    };
    let forge = open().await;
    slot.put(forge.clone());
    start(&forge).await;
    forge.serve().await.unwrap();
    forge.shutdown().await;
    assert_nothing_is_left(world);
    slot.clear();
    let row = world.rows().run("k");
    assert_eq!((row.crashes, row.attempts), (0, 0));
    let _forge = open().await;
    assert_eq!(world.settle("k").await.state, COMPLETED);
}

#[scenario]
async fn a_step_that_shuts_its_own_engine_down_is_recorded_and_ends_with_it(world: &World) {
    let start = async |forge: &Forge| {
        let run = stops_its_engine_in_a_step();
        drop(forge.start("k", run).await.unwrap());
    };
    stops_itself(world, start).await;
    assert_eq!(world.probe.count("stop"), 1);
}

#[scenario]
async fn a_body_that_shuts_its_own_engine_down_ends_with_it(world: &World) {
    let start = async |forge: &Forge| {
        let run = stops_its_engine_in_the_body();
        drop(forge.start("k", run).await.unwrap());
    };
    stops_itself(world, start).await;
}

#[workflow]
async fn serves_in_a_step(engine: State<Slot>) -> Result<String> {
    let served = step!("serve", {
        let served = engine.get().serve().await;
        Ok(served.map_or_else(|error| error.to_string(), |()| "it was served".to_owned()))
    });
    Ok(served.await?)
}

#[workflow]
async fn serves_in_the_body(engine: State<Slot>) -> Result<String> {
    let served = engine.get().serve().await;
    Ok(served.map_or_else(|error| error.to_string(), |()| "it was served".to_owned()))
}

/// The shutdown that ends a `serve` would wait for whoever waits for that.
#[scenario]
async fn whoever_serves_an_engine_from_within_is_told_at_once_what_to_do(world: &World) {
    let slot = Slot::default();
    let names = [serves_in_a_step::NAME, serves_in_the_body::NAME];
    let builder = world.builder(names).state(slot.clone());
    let forge = builder.shutdown_grace(FOREVER).open().await.unwrap();
    slot.put(forge.clone());
    let in_a_step = forge.start("step", serves_in_a_step()).await.unwrap();
    let in_the_body = forge.start("body", serves_in_the_body()).await.unwrap();
    for told in [in_a_step.result().await, in_the_body.result().await] {
        let told = told.unwrap();
        for word in ["serve()", "main", "forge.shutdown()"] {
            assert!(told.contains(word), "{told}");
        }
    }
    forge.shutdown().await;
    slot.clear();
    assert_nothing_is_left(world);
}

#[workflow]
async fn has_children(probe: State<Probe>, count: u32) -> Result<usize> {
    step!("waits", {
        probe.note("waits");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    let children = branch!("b", automerge = true, {
        spawn_each!("c", 0..count, |_| settles_at_once())
    });
    Ok(children.await?.len())
}

/// Amid the transaction that dispatches children: some of its rows are written by then.
#[scenario(threads = 2)]
async fn a_panic_amid_a_transaction_ends_the_engine_and_leaves_no_transaction_behind(
    world: &World,
) {
    let statements = world.statements();
    let open = || world.forge([has_children::NAME, settles_at_once::NAME]);
    let forge = open().await;
    let run = forge.start("k", has_children(5)).await.unwrap();
    world.noted("waits", 1).await;
    statements.panic_at("INTO chrono_forge_workflows");
    world.probe.set("go", 1);
    let ended = run.result().await.unwrap_err().to_string();
    assert!(ended.contains("amid a transaction"), "{ended}");
    assert!(statements.has_panicked());
    let stopped = forge.serve().await.unwrap_err();
    assert!(matches!(stopped, Error::Stopped { .. }), "{stopped:?}");
    // Whoever wants to write can, at once, while the engine that ended is still there.
    drop(world.hold_writes());
    assert_eq!(live_workers(world), 0);
    let next = open().await;
    let run = next.get::<has_children>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 5);
    assert_eq!(world.rows().children("k").len(), 5);
    drop(forge);
}

#[scenario]
async fn a_process_that_only_starts_runs_keeps_nothing_of_those_that_have_settled(world: &World) {
    let worker = world.builder([settles_at_once::NAME]).poll_interval(GLANCE);
    let worker = worker.open().await.unwrap();
    let client = world.client().await;
    for n in 0..200 {
        let run = client
            .start(&format!("k{n}"), settles_at_once())
            .await
            .unwrap();
        match n % 4 {
            0 => assert_eq!(run.result().await.unwrap(), 1),
            1 => drop(world.soon(run.result()).await),
            2 => drop(run),
            _ => drop(tokio::time::timeout(Duration::ZERO, run.result()).await),
        }
    }
    world.quiet().await;
    assert_eq!((client.awaited(), worker.awaited()), (0, 0));
}

/// Nobody hears of a run that does not settle: whoever goes away has to take the entry away.
#[scenario]
async fn a_process_keeps_nothing_of_runs_that_nobody_waits_for_any_more(world: &World) {
    let worker = opened(world, FOREVER).await;
    let client = world.client().await;
    for (n, forge) in [&client, &worker].into_iter().cycle().take(40).enumerate() {
        let run = forge.start(&format!("k{n}"), held_up()).await.unwrap();
        if n % 4 < 2 {
            let _ = tokio::time::timeout(Duration::from_millis(1), run.result()).await;
        }
    }
    assert_eq!((client.awaited(), worker.awaited()), (0, 0));
    assert_eq!(world.rows().runs().len(), 40);
    world.probe.set("one", 1);
    world.quiet().await;
}

#[workflow]
async fn settles_at_once() -> Result<u32> {
    Ok(1)
}
