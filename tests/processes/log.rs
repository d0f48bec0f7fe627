//! Killed as the write-ahead log is moved into the file and truncated, alone and beside another
//! process that does the same.

use std::cell::Cell;
use std::process::Command;
use std::time::Duration;

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::fan;
use chrono_forge_tests::process::{Ground, HANGS, Victim, bounded, bounded_by};
use rusqlite::Connection;

use crate::ground;

/// The least bound that there is: a busy process truncates its log whenever it looks, once a
/// second.
pub(crate) const BOUND: u64 = 1 << 20;

const KILLS: usize = 5;

pub(crate) fn log_bytes(ground: &Ground) -> u64 {
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

pub(crate) fn assert_sound(ground: &Ground) {
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

/// Beyond what a process moves on the connection that writes: that is for a thread of its own.
const LARGE_BYTES: u32 = 32 << 20;

/// Kills in the midst of moving a large log.
const LARGE_KILLS: usize = 4;

/// The thread that moves a large log, as the kernel has its name.
const MOVER: &str = "chrono-forge-lo";

/// Has a log of this size that a reader has kept from being moved, and that reader gone; how long
/// the file was then.
fn leave_a_large_log(ground: &Ground) -> u64 {
    let open = || {
        let conn = Connection::open(ground.file()).unwrap();
        conn.busy_timeout(Duration::from_secs(30)).unwrap();
        conn.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
        conn
    };
    let (reader, writer) = (open(), open());
    let read = "BEGIN; SELECT count(*) FROM chrono_forge_workflows";
    reader.execute_batch(read).unwrap();
    let fill = format!(
        "CREATE TABLE IF NOT EXISTS ballast (b);
        INSERT INTO ballast VALUES (zeroblob({LARGE_BYTES}))"
    );
    writer.execute_batch(&fill).unwrap();
    assert!(log_bytes(ground) > u64::from(LARGE_BYTES));
    // Once a second each of them looks at the log; before that its own commits would move it.
    std::thread::sleep(Duration::from_millis(1_200));
    let bytes = file_bytes(ground);
    reader.execute_batch("COMMIT").unwrap();
    bytes
}

fn file_bytes(ground: &Ground) -> u64 {
    std::fs::metadata(ground.file()).unwrap().len()
}

fn is_moving(victim: &Victim) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", victim.pid()));
    let mut names = tasks.into_iter().flatten().filter_map(|task| {
        let name = std::fs::read_to_string(task.ok()?.path().join("comm"));
        name.ok()
    });
    names.any(|name| name.trim_end() == MOVER)
}

/// Which of them is in the midst of moving a large log; `None` if it was moved too soon to be seen.
fn mover_of(ground: &Ground, victims: &[Victim; 2]) -> Option<usize> {
    let before = leave_a_large_log(ground);
    let mover = Cell::new(None);
    ground.await_that("one of them moves the log", || {
        if file_bytes(ground) > before {
            mover.set(victims.iter().position(is_moving));
        }
        mover.get().is_some() || log_bytes(ground) <= BOUND
    });
    mover.get()
}

#[backends(sqlite_only = "a server keeps its log itself")]
fn of_two_processes_that_move_one_large_log_any_may_be_killed(backend: Backend) {
    bounded_by(HANGS * 4, async {
        let ground = ground(backend);
        let forge = ground.observer().await;
        let bound = BOUND.to_string();
        let more = ["--heartbeat-ms", "500", "--wal-bytes-max", &bound];
        let flags = [ground.lease(), &more].concat();
        let start = || ground.victim(&flags, "");
        let mut victims = [start(), start()];
        let mut families = Vec::new();
        for n in 0..LARGE_KILLS {
            let family = fan(ground.out(), 1_500, 4, 1);
            families.push(forge.start(&format!("f{n}"), family).await.unwrap());
            tokio::task::block_in_place(|| {
                let mover = loop {
                    if let Some(mover) = mover_of(&ground, &victims) {
                        break mover;
                    }
                };
                victims[mover].kill();
                assert!(victims[1 - mover].is_running(), "the other one goes on");
                assert_sound(&ground);
                victims[mover] = start();
            });
        }
        // Once more, and nobody is in the way of either.
        tokio::task::block_in_place(|| leave_a_large_log(&ground));
        for family in families {
            assert_eq!(family.result().await.unwrap(), 6_000);
        }
        ground.await_that("the log is within its bound", || {
            log_bytes(&ground) <= BOUND
        });
        assert!(victims.iter_mut().all(Victim::is_running));
        assert_sound(&ground);
        ground.assert_whole(LARGE_KILLS);
    });
}

/// Enough that a process which leaves its log behind now and then is seen.
const SHUTDOWNS: usize = 40;

#[test]
fn a_process_that_ends_right_after_its_shutdown_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    let names = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.starts_with("a.db-"))
            .collect::<Vec<_>>()
    };
    for n in 0..SHUTDOWNS {
        let role = if n % 4 == 0 { "client" } else { "worker" };
        let mut opener = Command::new(env!("CARGO_BIN_EXE_opener"));
        let ended = opener.arg(&file).arg(role).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(names(), [""; 0], "after {n} as {role}");
    }
}
