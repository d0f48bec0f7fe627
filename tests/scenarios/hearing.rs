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

/// So many others write all the time, each for itself.
async fn look_beside(world: &World, writers: u32) {
    let statements = world.statements();
    let forge = world.forge([heard_of::NAME]).await;
    forge.start("k", heard_of(1)).await.unwrap();
    world.quiet().await;
    let open = |n| {
        let other = Connection::open(world.file()).unwrap();
        let create = format!(
            "PRAGMA busy_timeout = 5000; CREATE TABLE beside{n} (n);
            INSERT INTO beside{n} VALUES (0)"
        );
        other.execute_batch(&create).unwrap();
        (other, format!("UPDATE beside{n} SET n = n + 1"))
    };
    let others: Vec<_> = (0..writers).map(open).collect();
    let _ = statements.take();
    let begun = Instant::now();
    let write = |(other, update): (Connection, String)| {
        std::thread::spawn(move || {
            while begun.elapsed() < Duration::from_secs(2) {
                other.execute_batch(&update).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let writing: Vec<_> = others.into_iter().map(write).collect();
    for thread in writing {
        tokio::task::block_in_place(|| thread.join().unwrap());
    }
    let mut claims = statements.take_transactions();
    claims.retain(|statements| statements.iter().any(|it| it.sql.contains(CLAIM)));
    let claims = claims.len() as u128;
    // Those of a heartbeat or two are among them.
    let most = begun.elapsed().as_millis() / 100 + 3;
    assert!((1..=most).contains(&claims), "{claims} claims");
}

#[scenario(threads = 2, sqlite_only = "elsewhere only what is told is heard")]
async fn who_writes_all_the_time_makes_others_look_ten_times_a_second(world: &World) {
    look_beside(world, 1).await;
}

#[scenario(threads = 2, sqlite_only = "elsewhere only what is told is heard")]
async fn two_who_write_all_the_time_make_others_look_no_more_often(world: &World) {
    look_beside(world, 2).await;
}

/// Longer than the pauses grow to between two looks after the last write.
const ASLEEP: Duration = Duration::from_secs(4);

#[scenario(threads = 2, sqlite_only = "a server is asked whether it is there")]
async fn an_idle_engine_asks_its_file_only_who_lives_between_two_heartbeats(world: &World) {
    let never = Duration::from_secs(3_600);
    let statements = world.statements();
    let builder = world.builder([heard_of::NAME]).poll_interval(never);
    let builder = builder.lease(never * 3).heartbeat(never);
    let forge = builder.open().await.unwrap();
    let run = forge.start("k", heard_of(1)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    tokio::time::sleep(ASLEEP).await;
    let _ = statements.take();
    tokio::time::sleep(ASLEEP).await;
    // A lock file tells of a death at once, so whose there should be is looked at all the time.
    let mut asked = statements.take();
    asked.retain(|asked| !asked.sql.contains("FROM chrono_forge_workers"));
    assert!(asked.is_empty(), "{asked:?}");
    // It is asleep, and not deaf.
    let other = Connection::open(world.file()).unwrap();
    other.execute_batch("CREATE TABLE beside (n)").unwrap();
    let asks = || !statements.take_of("data_version").is_empty();
    world.until(asks).await;
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
