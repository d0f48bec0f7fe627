//! `forge.shutdown()`: passes reach a durable point, everything is handed back.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, IDLE, Probe, World, scenario};

#[workflow]
async fn two_slow_steps(probe: State<Probe>) -> Result<u32> {
    let one = step!("one", retry = RetryPolicy::none(), {
        probe.note("one");
        probe.raised("one").await;
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
async fn a_pass_ends_at_its_next_durable_point_and_the_run_goes_on_later(world: &World) {
    let forge = world.forge([two_slow_steps::NAME]).await;
    forge.start("k", two_slow_steps()).await.unwrap();
    world.noted("one", 1).await;
    let ((), ()) = tokio::join!(forge.shutdown(), async {
        tokio::task::yield_now().await;
        world.probe.set("one", 1);
    });
    let row = world.rows().run("k");
    assert_eq!((row.state, row.crashes, row.locked_by), (IDLE, 0, None));
    assert!(
        row.wake_at.is_some_and(|at| at <= world.now()),
        "due at once"
    );
    assert_eq!(world.rows().order("k"), ["step$one"]);
    assert_eq!(world.probe.log(), ["one"]);
    let _forge = world.forge([two_slow_steps::NAME]).await;
    assert_eq!(world.settle("k").await.state, COMPLETED);
    assert_eq!(world.probe.log(), ["one", "two"]);
}

#[scenario]
async fn what_outlasts_the_grace_is_cut_off_without_costing_an_attempt_or_a_crash(world: &World) {
    let builder = world.builder([two_slow_steps::NAME]);
    let forge = builder
        .shutdown_grace(Duration::from_millis(20))
        .open()
        .await
        .unwrap();
    forge.start("k", two_slow_steps()).await.unwrap();
    world.noted("one", 1).await;
    forge.shutdown().await;
    let row = world.rows().run("k");
    assert_eq!((row.state, row.crashes, row.locked_by), (IDLE, 0, None));
    assert!(world.rows().errors("k").is_empty());
    world.probe.set("one", 1);
    let forge = world.forge([two_slow_steps::NAME]).await;
    let run = forge.get::<two_slow_steps>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(world.probe.count("one"), 2);
}

#[workflow]
async fn one_slot(probe: State<Probe>, n: u32) -> Result<u32> {
    probe.note("begun");
    step!("s", {
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    Ok(n)
}

#[scenario]
async fn runs_that_wait_for_a_slot_are_handed_back_untouched(world: &World) {
    let names = [one_slot::NAME];
    let forge = world
        .builder(names)
        .queue("default", 1)
        .open()
        .await
        .unwrap();
    for n in 0..10 {
        forge.start(&format!("k{n}"), one_slot(n)).await.unwrap();
    }
    world.noted("begun", 1).await;
    let ((), ()) = tokio::join!(forge.shutdown(), async { world.probe.set("go", 1) });
    let runs = world.rows().runs();
    assert!(
        runs.iter().all(|r| r.crashes == 0 && r.locked_by.is_none()),
        "{runs:?}"
    );
    assert_eq!(
        runs.iter()
            .filter(|r| r.state == IDLE && r.wake_at.is_some())
            .count(),
        9
    );
    assert_eq!(world.probe.count("begun"), 1);
    let _forge = world.forge(names).await;
    world.quiet().await;
    assert!(world.rows().runs().iter().all(|run| run.state == COMPLETED));
}

#[workflow]
async fn fanning_out(probe: State<Probe>) -> Result<u64> {
    let children = branch!("grp", automerge = true, {
        spawn_each!("n", 0..30_u64, |n| small(n))
    });
    let sum = children.await?.collect().await?.iter().sum();
    probe.note("sum");
    Ok(sum)
}

#[workflow]
async fn small(probe: State<Probe>, n: u64) -> Result<u64> {
    probe.note("small");
    Ok(step!("s", { Ok(n) }).await?)
}

#[scenario]
async fn a_fan_out_survives_any_number_of_shutdowns(world: &World) {
    let names = [fanning_out::NAME, small::NAME];
    for round in 0..6 {
        let forge = world
            .builder(names)
            .queue("default", 2)
            .open()
            .await
            .unwrap();
        let run = forge.start("p", fanning_out()).await.unwrap();
        if round == 5 {
            assert_eq!(run.result().await.unwrap(), (0..30).sum::<u64>());
            break;
        }
        world.noted("small", round * 4).await;
        forge.shutdown().await;
        let held = "SELECT count(*) FROM chrono_forge_workflows WHERE locked_by IS NOT NULL";
        assert_eq!(world.rows().number(held), 0);
    }
    assert_eq!(
        world
            .rows()
            .number("SELECT sum(crashes) FROM chrono_forge_workflows"),
        0
    );
    assert_eq!(world.rows().children("p").len(), 30);
}

#[workflow]
async fn one_step(probe: State<Probe>) -> Result<u32> {
    Ok(step!("one", {
        probe.note("one");
        probe.raised("one").await;
        Ok(1_u32)
    })
    .await?)
}

#[scenario]
async fn a_database_that_takes_no_writes_does_not_hold_up_the_shutdown(world: &World) {
    let open = || {
        let builder = world.builder([one_step::NAME]);
        builder.shutdown_grace(Duration::from_millis(100)).open()
    };
    let forge = open().await.unwrap();
    forge.start("k", one_step()).await.unwrap();
    world.noted("one", 1).await;
    let held = world.hold_writes();
    // The step ends, and its record waits for a database that takes nothing.
    world.probe.set("one", 1);
    forge.shutdown().await;
    drop(held);

    let forge = open().await.unwrap();
    let run = forge.get::<one_step>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
}
