//! Killed as a large log is moved, and as a worker leaves: at instants before, amid and after.

use std::time::Duration;

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::fan;
use chrono_forge_tests::process::{Ground, bounded};
use rusqlite::Connection;

use crate::backups::number;
use crate::ground;
use crate::log::{BOUND, assert_sound, log_bytes};

/// More than the writing connection moves by itself.
const LARGE_BYTES: u32 = 48 << 20;

/// Until the process is killed, after it was asked to stop or the reader has gone: while it moves
/// the log, or just before or after that.
const INSTANTS_MS: [u64; 9] = [0, 2, 5, 10, 20, 40, 80, 160, 320];

/// Writes that much behind the engine's back, and keeps all of it in the log until this is dropped.
fn grow_log(ground: &Ground) -> Connection {
    let open = || Connection::open(ground.file()).unwrap();
    let (reader, writer) = (open(), open());
    reader.execute_batch("BEGIN").unwrap();
    let read = "SELECT count(*) FROM chrono_forge_workers";
    reader.query_row(read, [], |_| Ok(())).unwrap();
    writer.busy_timeout(Duration::from_secs(10)).unwrap();
    let write = format!(
        "PRAGMA wal_autocheckpoint = 0; CREATE TABLE IF NOT EXISTS ballast (b);
        INSERT INTO ballast VALUES (zeroblob({LARGE_BYTES}))"
    );
    writer.execute_batch(&write).unwrap();
    assert!(log_bytes(ground) > u64::from(LARGE_BYTES));
    reader
}

/// Processes that have a large log to move are killed at all of these instants, with a signal sent
/// before it or not; in the end everything is there, and the log within its bound.
async fn kill_at_all_instants(ground: &Ground, signal: Option<&str>) {
    let bound = BOUND.to_string();
    let flags = [ground.lease(), &["--wal-bytes-max", &bound]].concat();
    for (n, millis) in INSTANTS_MS.into_iter().enumerate() {
        let forge = ground.observer().await;
        let family = fan(ground.out(), 100, 4, 1);
        forge.start(&format!("f{n}"), family).await.unwrap();
        // It is the worker's log alone.
        forge.shutdown().await;
        drop(forge);
        let mut victim = ground.victim(&flags, "");
        let begun = ground.lines().len();
        tokio::task::block_in_place(|| {
            ground.await_that("it works", || ground.lines().len() > begun);
            let reader = grow_log(ground);
            if let Some(signal) = signal {
                victim.signal(signal);
            }
            drop(reader);
            std::thread::sleep(Duration::from_millis(millis));
            victim.kill();
        });
        assert_sound(ground);
        let kept = number(&ground.file(), "SELECT count(*) FROM ballast");
        assert_eq!(kept, i64::try_from(n).unwrap() + 1);
    }
    let forge = ground.observer().await;
    let _last = ground.victim(&flags, "");
    for n in 0..INSTANTS_MS.len() {
        let family = forge.get::<fan>(&format!("f{n}")).await.unwrap().unwrap();
        assert_eq!(family.result().await.unwrap(), 400);
    }
    ground.assert_whole(INSTANTS_MS.len());
    tokio::task::block_in_place(|| {
        ground.await_that("the log is within its bound", || log_bytes(ground) <= BOUND);
    });
}

#[backends(sqlite_only = "a server keeps its log itself")]
fn kills_as_a_large_log_is_moved_lose_nothing(backend: Backend) {
    bounded(async { kill_at_all_instants(&ground(backend), None).await });
}

#[backends(sqlite_only = "a server keeps its log itself")]
fn kills_as_a_worker_leaves_lose_nothing(backend: Backend) {
    bounded(async { kill_at_all_instants(&ground(backend), Some("TERM")).await });
}
