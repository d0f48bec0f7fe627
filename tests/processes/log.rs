//! Killed as the write-ahead log is moved into the file and truncated.

use std::cell::Cell;

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::fan;
use chrono_forge_tests::process::{Ground, bounded};
use rusqlite::Connection;

use crate::ground;

/// The least bound that there is: a busy process truncates its log whenever it looks, once a
/// second.
const BOUND: u64 = 1 << 20;

const KILLS: usize = 5;

fn log_bytes(ground: &Ground) -> u64 {
    let log = format!("{}-wal", ground.file().display());
    std::fs::metadata(log).map_or(0, |log| log.len())
}

/// Waits until the log is truncated, which nothing but the engine's own checkpoint does.
fn await_truncation(ground: &Ground) {
    let most = Cell::new(0);
    ground.await_that("the log is truncated", || {
        let bytes = log_bytes(ground);
        most.set(most.get().max(bytes));
        bytes < most.get() && most.get() > BOUND
    });
}

fn assert_sound(ground: &Ground) {
    let conn = Connection::open(ground.file()).unwrap();
    let check: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[backends(sqlite_only = "a server keeps its log itself")]
fn kills_as_the_log_is_truncated_lose_nothing(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let forge = ground.observer().await;
        let bound = BOUND.to_string();
        let flags = [ground.lease(), &["--wal-bytes-max", &bound]].concat();
        let mut families = Vec::new();
        for n in 0..KILLS {
            let family = fan(ground.out(), 1_000, 4, 1);
            families.push(forge.start(&format!("f{n}"), family).await.unwrap());
            let mut victim = ground.victim(&flags, "");
            tokio::task::block_in_place(|| await_truncation(&ground));
            victim.kill();
            assert_sound(&ground);
        }
        let _last = ground.victim(&flags, "");
        for family in families {
            assert_eq!(family.result().await.unwrap(), 4_000);
        }
        ground.assert_whole(KILLS);
    });
}
