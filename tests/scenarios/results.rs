//! Results, states and handles, also from other processes.

mod children;
mod failures;
mod order;

use chrono_forge::RunState;
use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::scenario::{Probe, World, scenario};

#[workflow]
async fn answer(probe: State<Probe>) -> Result<u32> {
    probe.raised("go").await;
    Ok(42)
}

#[scenario]
async fn a_client_process_starts_and_waits_for_what_a_worker_does(world: &World) {
    let client = world.client().await;
    let run = client.start("k", answer()).await.unwrap();
    assert_eq!(run.state().await.unwrap(), RunState::Idle);
    assert_eq!((run.key(), run.workflow()), ("k", "answer"));
    let _worker = world.forge([answer::NAME]).await;
    world.until(|| world.rows().run("k").lock_epoch == 1).await;
    assert_eq!(run.state().await.unwrap(), RunState::Running);
    assert!(world.soon(run.result()).await.is_none());
    world.probe.set("go", 1);
    assert_eq!(run.result().await.unwrap(), 42);
    assert_eq!(
        run.result().await.unwrap(),
        42,
        "a result can be asked for again"
    );
    assert_eq!(run.state().await.unwrap(), RunState::Completed);
}

#[scenario]
async fn a_worker_learns_of_a_run_that_another_process_started(world: &World) {
    world.probe.set("go", 1);
    let builder = world.builder([answer::NAME]);
    let poll = std::time::Duration::from_millis(10);
    let _worker = builder.poll_interval(poll).open().await.unwrap();
    let client = world.client().await;
    let run = client.start("k", answer()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 42);
}

#[scenario]
async fn every_handle_of_a_run_hears_its_result(world: &World) {
    let forge = world.forge([answer::NAME]).await;
    let started = forge.start("k", answer()).await.unwrap();
    let again = forge.start("k", answer()).await.unwrap();
    let found = forge.get::<answer>("k").await.unwrap().unwrap();
    let all = async { tokio::try_join!(started.result(), again.result(), found.result()) };
    let (given, ()) = tokio::join!(all, async { world.probe.set("go", 1) });
    assert_eq!(given.unwrap(), (42, 42, 42));
    assert!(forge.get::<answer>("unknown").await.unwrap().is_none());
}

#[backends(sqlite_only = "a server is not in memory")]
async fn a_database_in_memory_serves_one_process(_: Backend) {
    let probe = Probe::default();
    probe.set("go", 1);
    let builder = Forge::builder("sqlite::memory:")
        .workflows([answer::NAME])
        .state(probe);
    let forge = builder.open().await.unwrap();
    let run = forge.start("k", answer()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 42);
}

#[scenario(threads = 2)]
async fn a_thousand_runs_all_settle(world: &World) {
    world.probe.set("go", 1);
    let forge = world.forge([answer::NAME]).await;
    let starts = (0..1_000).map(|n| {
        let forge = forge.clone();
        async move { forge.start(&format!("k{n}"), answer()).await }
    });
    let runs = futures::future::try_join_all(starts).await.unwrap();
    for run in runs {
        assert_eq!(run.result().await.unwrap(), 42);
    }
}
