//! A process hears of what another one starts, wakes and ends, long before it would look by itself.
//!
//! Nobody here ever looks by itself: whoever is not told waits longer than a test may take.

use std::path::Path;
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::{awaits_file, fan, labour};
use chrono_forge_tests::process::{Ground, bounded};

use crate::ground;

const NEVER: Duration = Duration::from_secs(3_600);

const NEVER_MS: &str = "3600000";

/// An engine in this process that never looks by itself, and executes nothing but this, if
/// anything.
async fn engine(ground: &Ground, serves: Option<&'static str>) -> Forge {
    let builder = Forge::builder(&ground.url()).poll_interval(NEVER);
    let builder = match serves {
        Some(name) => builder.workflows([name]),
        None => builder.worker(false),
    };
    builder.open().await.unwrap()
}

#[backends]
fn a_process_hears_of_what_another_starts_and_of_what_it_gives(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let flags = ["--poll-ms", NEVER_MS];
        let _workers = [ground.victim(&flags, ""), ground.victim(&flags, "")];
        let forge = engine(&ground, None).await;
        for n in 0..20 {
            let run = labour(ground.out(), 2, 0);
            let run = forge.start(&format!("r{n}"), run).await.unwrap();
            assert_eq!(run.result().await.unwrap(), 2);
        }
        let many = forge.start("p", fan(ground.out(), 200, 2, 0));
        assert_eq!(many.await.unwrap().result().await.unwrap(), 400);
        ground.assert_whole(0);
    });
}

#[backends]
fn a_process_hears_of_a_retry_by_another(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let _worker = ground.victim(&["--poll-ms", NEVER_MS], "");
        let forge = engine(&ground, None).await;
        let flag = format!("{}.flag", ground.out());
        let waits = awaits_file(ground.out(), flag.clone());
        let run = forge.start("r", waits).await.unwrap();
        assert!(run.result().await.is_err());
        std::fs::write(&flag, "").unwrap();
        forge.retry::<awaits_file>("r").await.unwrap();
        assert_eq!(run.result().await.unwrap(), 2);
    });
}

#[workflow]
async fn waits_for_a_word(file: String) -> Result<u32> {
    continue_if!("word", async { anyhow::Ok(Path::new(&file).exists()) }).await?;
    Ok(1)
}

#[backends]
fn an_engine_hears_of_a_wake_by_another(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let teller = engine(&ground, None).await;
        let worker = engine(&ground, Some(waits_for_a_word::NAME)).await;
        let word = format!("{}.word", ground.out());
        let waits = waits_for_a_word(word.clone());
        let run = teller.start("w", waits).await.unwrap();
        let parked =
            "SELECT count(*) FROM chrono_forge_workflows WHERE state = 0 AND wake_at IS NULL";
        tokio::task::block_in_place(|| ground.await_row("it is parked", parked));
        std::fs::write(&word, "").unwrap();
        teller.wake::<waits_for_a_word>("w").await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        worker.shutdown().await;
    });
}
