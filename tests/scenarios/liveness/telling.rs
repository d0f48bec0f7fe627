//! What is told of a runtime that is kept from polling.

use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{World, scenario};
use chrono_forge_tests::telling;

use super::{LEASE, LONG, hasty};

#[workflow]
async fn keeps_its_thread() -> Result<u32> {
    step!("keeps", {
        std::thread::sleep(LONG);
        Ok(1_u32)
    })
    .await?;
    std::thread::sleep(LEASE);
    Ok(1)
}

#[scenario]
async fn what_keeps_its_thread_is_told_once_by_name_and_with_the_remedy(world: &World) {
    telling::listen();
    let forge = hasty(world, [keeps_its_thread::NAME]).await;
    for key in ["a", "b"] {
        let run = forge.start(key, keeps_its_thread()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
    }
    let remedy = "tokio::task::spawn_blocking";
    let of_this = ["workflow=keeps_its_thread", "keeps the thread", remedy];
    let warned = telling::told(&of_this);
    for place in ["place=step!(\"keeps\")", "place=the body"] {
        let lines = warned.iter().filter(|line| line.contains(place));
        assert_eq!(lines.count(), 1, "{warned:#?}");
    }
    // Nothing else could be polled on this runtime, for longer than a lease.
    let error = telling::told(&["ERROR", "step!(\"keeps\") of keeps_its_thread", remedy]);
    assert!(!error.is_empty());
    tokio::time::sleep(Duration::from_millis(10)).await;
}
