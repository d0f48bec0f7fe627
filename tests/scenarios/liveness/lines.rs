//! What is told of workers, leases, writes that are set aside and databases that are others: each
//! kind with what helps.

use chrono_forge::Forge;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::scenario::{Probe, World, scenario};
use chrono_forge_tests::telling;

use super::hasty;

/// Waits until an event with all of these words was told.
async fn told(world: &World, words: &[&str]) {
    world.until(|| !telling::told(words).is_empty()).await;
}

#[workflow]
async fn told_of(probe: State<Probe>) -> Result<u32> {
    let first = step!("first", { Ok(1_u32) }).await?;
    step!("held", {
        probe.note("held");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    Ok(first)
}

async fn holding(world: &World) -> Forge {
    telling::listen();
    let forge = hasty(world, [told_of::NAME]).await;
    forge.start("k", told_of()).await.unwrap();
    world.noted("held", 1).await;
    forge
}

#[scenario]
async fn a_lease_that_is_not_renewed_is_told_with_what_helps(world: &World) {
    let forge = holding(world).await;
    let locked = world.hold_workers();
    told(
        world,
        &[
            "WARN",
            "the lease was not renewed in time",
            "takes writes",
            ".lease(..)",
        ],
    )
    .await;
    told(
        world,
        &[
            "WARN",
            "a heartbeat failed",
            "error=",
            "see that the database takes writes",
        ],
    )
    .await;
    drop(locked);
    told(world, &["INFO", "the lease is renewed again"]).await;
    world.probe.set("go", 1);
    drop(forge);
}

#[scenario]
async fn a_worker_that_is_over_is_told_with_the_reason_and_what_helps(world: &World) {
    let forge = holding(world).await;
    super::judging::declare_dead(world);
    let over = "this worker is over";
    told(
        world,
        &[
            "WARN",
            over,
            "it was declared dead",
            "a longer `.lease(..)`",
        ],
    )
    .await;
    world.noted("held", 2).await;
    world.rows().edit("DELETE FROM chrono_forge_workers", &[]);
    told(
        world,
        &["WARN", over, "its row is gone", "compare what matters"],
    )
    .await;
    world.probe.set("go", 1);
    drop(forge);
}

#[scenario]
async fn runs_that_are_recovered_are_told_with_what_helps(world: &World) {
    let forge = holding(world).await;
    world.crash(&forge);
    let next = hasty(world, [told_of::NAME]).await;
    told(
        world,
        &[
            "WARN",
            "a worker died, and its runs go on",
            "what ends its process",
        ],
    )
    .await;
    world.probe.set("go", 1);
    drop(next);
}

#[scenario]
async fn a_run_that_goes_into_quarantine_is_told_with_what_helps(world: &World) {
    let forge = holding(world).await;
    for times in 1..=3 {
        world.noted("held", times).await;
        super::judging::declare_dead(world);
    }
    let words = [
        "WARN",
        "loses its pass again and again",
        "spawn_blocking",
        "forge.reset_crashes",
    ];
    told(world, &words).await;
    world.probe.set("go", 1);
    drop(forge);
}

#[scenario]
async fn a_write_that_is_set_aside_is_told_with_its_error(world: &World) {
    let forge = holding(world).await;
    let why = match world.backend() {
        Backend::Sqlite => "database is locked",
        Backend::Postgres => "out of shared memory",
    };
    let records = "chrono_forge_execution_logs";
    world
        .rows()
        .refuse(records, "new.step_name = 'step$held'", why);
    world.probe.set("go", 1);
    told(
        world,
        &["WARN", "set aside failed again", why, "other runs go on"],
    )
    .await;
    drop(forge);
}

#[scenario(sqlite_only = "a file can be replaced")]
async fn a_file_that_was_replaced_is_told_with_what_helps(world: &World) {
    let forge = holding(world).await;
    let moved = world.dir().join("moved.db");
    std::fs::rename(world.file(), moved).unwrap();
    let name = world.file().display().to_string();
    told(
        world,
        &[
            "ERROR",
            &name,
            "no longer the file",
            "put the file in its place",
        ],
    )
    .await;
    let served = forge.serve().await.unwrap_err().to_string();
    assert!(served.contains("put the file in its place"), "{served}");
}
