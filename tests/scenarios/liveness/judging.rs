//! Who is dead: not who has another lease, nor who has another clock.

use std::time::Duration;

use chrono_forge::Forge;
use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{COMPLETED, Probe, World, scenario};

const HASTY: Duration = Duration::from_millis(600);

/// A step that lasts until it is let go.
#[workflow]
async fn holds(cx: Context, probe: State<Probe>) -> Result<u32> {
    let held = step!("held", {
        probe.note("held");
        probe.note(format!("held {}", cx.key()));
        probe.raised("go").await;
        Ok(1_u32)
    })
    .await?;
    Ok(held)
}

/// A worker that serves nothing, has a short lease, and looks at others often.
async fn hasty(world: &World) -> Forge {
    let none: [&str; 0] = [];
    let builder = world.builder(none).lease(HASTY).heartbeat(HASTY / 3);
    builder.open().await.unwrap()
}

const LIVE: &str = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL";

#[scenario]
async fn a_worker_is_judged_by_its_own_lease(world: &World) {
    // Between two of its heartbeats the other one's lease is over several times.
    let patient = world.builder([holds::NAME]);
    let patient = patient.lease(secs(8)).heartbeat(secs(4));
    let patient = patient.open().await.unwrap();
    let run = patient.start("k", holds()).await.unwrap();
    world.noted("held", 1).await;
    let hasty = hasty(world).await;
    tokio::time::sleep(6 * HASTY).await;
    world.probe.set("go", 1);
    assert_eq!(run.result().await.unwrap(), 1);
    let row = world.rows().run("k");
    assert_eq!((row.state, row.crashes, row.lock_epoch), (COMPLETED, 0, 1));
    assert_eq!(world.rows().number(LIVE), 2);
    hasty.shutdown().await;
}

#[scenario]
async fn a_dead_worker_is_silent_however_far_ahead_its_last_heartbeat_is(world: &World) {
    let dead = world.builder([holds::NAME]).lease(HASTY);
    let dead = dead.heartbeat(HASTY / 3).open().await.unwrap();
    dead.start("k", holds()).await.unwrap();
    world.noted("held", 1).await;
    dead.crash();
    // As after a clock that was set back, or a failover to a server whose clock is behind.
    let ahead = "UPDATE chrono_forge_workers SET heartbeat_at = instant(?)";
    let hour = world.now() + 3_600_000_000;
    world.rows().edit(ahead, &[hour.into()]);
    world.probe.set("go", 1);
    let next = world.builder([holds::NAME]).lease(HASTY);
    let next = next.heartbeat(HASTY / 3).open().await.unwrap();
    let run = next.get::<holds>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
}

#[scenario]
async fn a_worker_that_beats_is_alive_whatever_instants_it_writes(world: &World) {
    let patient = world.builder([holds::NAME]);
    let patient = patient.lease(secs(8)).heartbeat(HASTY / 3);
    let patient = patient.open().await.unwrap();
    let run = patient.start("k", holds()).await.unwrap();
    world.noted("held", 1).await;
    let hasty = hasty(world).await;
    let day = 86_400_000_000;
    for wrong in [-day, day, 0, -2 * day, 2 * day, -day] {
        let sql = "UPDATE chrono_forge_workers SET heartbeat_at = instant(?)";
        world.rows().edit(sql, &[(world.now() + wrong).into()]);
        tokio::time::sleep(HASTY).await;
    }
    world.probe.set("go", 1);
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(world.rows().run("k").lock_epoch, 1);
    assert_eq!(world.rows().number(LIVE), 2);
    hasty.shutdown().await;
}

/// Somebody declares the worker dead that holds this run.
pub(super) fn declare_dead(world: &World) {
    let rows = world.rows();
    let now = world.now();
    let take =
        "UPDATE chrono_forge_workflows SET state = 0, wake_at = instant(?), locked_by = NULL,
        lock_epoch = lock_epoch + 1, crashes = crashes + 1 WHERE state = 1";
    let stop = "UPDATE chrono_forge_workers SET stopped_at = instant(?) WHERE stopped_at IS NULL";
    // At once, as whoever declares it dead does.
    rows.edit_together(&[(stop, &[now.into()]), (take, &[now.into()])]);
}

#[scenario]
async fn a_worker_that_was_declared_dead_and_came_back_is_no_crash(world: &World) {
    let forge = world.builder([holds::NAME]).lease(HASTY);
    let forge = forge.heartbeat(HASTY / 3).open().await.unwrap();
    let run = forge.start("k", holds()).await.unwrap();
    for begun in 1..=2 {
        world.noted("held", begun).await;
        declare_dead(world);
        world
            .until(|| world.rows().find("k").is_some_and(|run| run.crashes == 0))
            .await;
        world.noted("held", begun + 1).await;
        assert_eq!(world.rows().run("k").crashes, 0);
    }
    // It is none, and yet somebody should know that this run gets nowhere.
    declare_dead(world);
    world
        .until(|| world.rows().find("k").is_some_and(|run| run.crashes == 2))
        .await;
    world.probe.set("go", 1);
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(world.rows().run("k").crashes, 0, "progress forgives");
}

const SUSPECTS: usize = 12;

#[scenario]
async fn two_deaths_of_a_worker_leave_half_of_its_runs_beside_each_other(world: &World) {
    let mut forge = world.forge([holds::NAME]).await;
    for n in 0..SUSPECTS {
        forge.start(&format!("k{n}"), holds()).await.unwrap();
    }
    for deaths in 1..=2 {
        world.noted("held", deaths * SUSPECTS).await;
        world.crash(&forge);
        forge = world.forge([holds::NAME]).await;
    }
    world.noted("held", 2 * SUSPECTS + SUSPECTS / 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.probe.count("held"), 2 * SUSPECTS + SUSPECTS / 2);
    world.probe.set("go", 1);
    for n in 0..SUSPECTS {
        let run = forge.get::<holds>(&format!("k{n}")).await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
    }
    assert_eq!(world.probe.count("held"), 3 * SUSPECTS);
}

#[scenario]
async fn a_worker_that_cannot_register_anew_leaves_one_row_however_often_it_tries(world: &World) {
    let forge = world.builder([holds::NAME]).lease(HASTY);
    let forge = forge.heartbeat(HASTY / 3).open().await.unwrap();
    let run = forge.start("k", holds()).await.unwrap();
    world.noted("held", 1).await;
    // What it reads once it is registered.
    let rename = |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {from} RENAME TO {to}");
        world.rows().edit(&sql, &[]);
    };
    rename("chrono_forge_imports", "chrono_forge_hidden");
    declare_dead(world);
    tokio::time::sleep(4 * HASTY).await;
    assert!(world.rows().number(LIVE) <= 1, "{}", world.rows().dump());
    rename("chrono_forge_hidden", "chrono_forge_imports");
    world.probe.set("go", 1);
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(world.rows().number(LIVE), 1);
}
