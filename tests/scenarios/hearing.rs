//! A worker looks for due runs when another process has written, and not more often than it has to.

use std::time::{Duration, Instant};

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{World, scenario};
use rusqlite::Connection;

/// What a claim asks.
const CLAIM: &str = "AS healthy_below";

#[workflow]
async fn heard_of(n: u64) -> Result<u64> {
    Ok(n)
}

#[scenario(threads = 2, sqlite_only = "elsewhere only what is told is heard")]
async fn who_writes_all_the_time_makes_others_look_ten_times_a_second(world: &World) {
    let statements = world.statements();
    let forge = world.forge([heard_of::NAME]).await;
    forge.start("k", heard_of(1)).await.unwrap();
    world.quiet().await;
    let other = Connection::open(world.file()).unwrap();
    let create =
        "PRAGMA busy_timeout = 5000; CREATE TABLE beside (n); INSERT INTO beside VALUES (0)";
    other.execute_batch(create).unwrap();
    let _ = statements.take();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        other.execute_batch("UPDATE beside SET n = n + 1").unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut claims = statements.take_transactions();
    claims.retain(|statements| statements.iter().any(|it| it.sql.contains(CLAIM)));
    let claims = claims.len() as u128;
    // Those of a heartbeat or two are among them.
    let most = begun.elapsed().as_millis() / 100 + 3;
    assert!((1..=most).contains(&claims), "{claims} claims");
}

#[scenario(threads = 2, sqlite_only = "elsewhere only what is told is heard")]
async fn what_a_process_writes_itself_is_no_news_to_it(world: &World) {
    let statements = world.statements();
    let builder = world.builder([heard_of::NAME]);
    let forge = builder
        .heartbeat(Duration::from_millis(20))
        .open()
        .await
        .unwrap();
    let run = forge.start("k", heard_of(1)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    world.quiet().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _ = statements.take();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let found = statements.take();
    let of = |what: &str| found.iter().filter(|it| it.sql.contains(what)).count();
    assert!(of("BEGIN IMMEDIATE") > 5, "{found:?}");
    assert_eq!(of(CLAIM), 0);
}
