//! What a process believes of its system, changed under it: clocks that leap, locks that everybody gets.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::labour;
use chrono_forge_tests::process::{Ground, HANGS, bounded, bounded_by};

use crate::ground;

const SHORT: [&str; 4] = ["--lease-ms", "1500", "--heartbeat-ms", "500"];

/// Longer than two leases.
const LONG_MILLIS: u64 = 4_000;

/// The wall clock is ahead by as many seconds as a file says, and by none while there is no file.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static long ahead(void) {
    const char *path = getenv("TEST_CLOCK_AHEAD");
    FILE *file = path ? fopen(path, "r") : NULL;
    long seconds = 0;
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}
int clock_gettime(clockid_t id, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, time);
    if (result == 0 && id == CLOCK_REALTIME) time->tv_sec += ahead();
    return result;
}
"#;

/// Every lock is granted.
const LOCKS: &str = "int flock(int file, int operation) { (void)file; (void)operation; return 0; }";

/// Compiles a library to be loaded before the system's.
fn shim(folder: &Path, name: &str, code: &str) -> String {
    let source = folder.join(format!("{name}.c"));
    let library: PathBuf = folder.join(format!("{name}.so"));
    std::fs::write(&source, code).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.is_ok_and(|status| status.success()), "cc {name}");
    library.display().to_string()
}

fn assert_nobody_died(ground: &Ground) {
    let look = ground.look();
    let dead = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NOT NULL";
    assert_eq!(look.number(dead, &[]), 0, "{}", ground.story());
    let taken = "SELECT count(*) FROM chrono_forge_workflows WHERE lock_epoch >> 32 > 1";
    assert_eq!(look.number(taken, &[]), 0, "{}", ground.story());
    ground.assert_whole(0);
}

#[backends]
fn a_wall_clock_that_leaps_cuts_nothing_off(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let clock = shim(ground.folder(), "clock", CLOCK);
        let ahead = ground.folder().join("ahead");
        let file = ahead.display().to_string();
        let leaping = [("LD_PRELOAD", &*clock), ("TEST_CLOCK_AHEAD", &*file)];
        let _first = ground.victim_in(&SHORT, &leaping);
        let forge = ground.observer().await;
        let run = forge
            .start("r", labour(ground.out(), 2, LONG_MILLIS))
            .await
            .unwrap();
        ground.await_that("it works", || !ground.lines().is_empty());
        // Another one watches.
        let _second = ground.victim(&SHORT, "");
        for seconds in ["3600", "-3600", "7"] {
            std::fs::write(&ahead, seconds).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        }
        assert_eq!(run.result().await.unwrap(), 2);
        assert_nobody_died(&ground);
    });
}

/// The next heartbeat is later than the end of the test: until then the worker goes by the last one.
#[backends]
fn a_wall_clock_that_leaps_keeps_nothing_from_beginning(backend: Backend) {
    const LONG: [&str; 4] = ["--lease-ms", "1200000", "--heartbeat-ms", "400000"];
    bounded_by(HANGS, async {
        let ground = ground(backend);
        let clock = shim(ground.folder(), "clock", CLOCK);
        let ahead = ground.folder().join("ahead");
        let file = ahead.display().to_string();
        let leaping = [("LD_PRELOAD", &*clock), ("TEST_CLOCK_AHEAD", &*file)];
        let _worker = ground.victim_in(&LONG, &leaping);
        let forge = ground.observer().await;
        let labour = labour(ground.out(), 40, 50);
        let run = forge.start("r", labour).await.unwrap();
        ground.await_that("it works", || !ground.lines().is_empty());
        std::fs::write(&ahead, "3600").unwrap();
        assert_eq!(run.result().await.unwrap(), 40);
        assert_nobody_died(&ground);
    });
}

#[backends(sqlite_only = "a server has no lock files")]
fn where_everybody_gets_every_lock_nobody_is_taken_for_dead(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let locks = shim(ground.folder(), "locks", LOCKS);
        let granting = [("LD_PRELOAD", &*locks)];
        let mut first = ground.victim_in(&SHORT, &granting);
        let forge = ground.observer().await;
        let run = forge
            .start("r", labour(ground.out(), 1, LONG_MILLIS))
            .await
            .unwrap();
        ground.await_that("it works", || !ground.lines().is_empty());
        let _second = ground.victim_in(&SHORT, &granting);
        assert_eq!(run.result().await.unwrap(), 1);
        assert_nobody_died(&ground);
        // A death is found out when the lease is over.
        let next = forge.start("s", labour(ground.out(), 1, 10)).await.unwrap();
        assert_eq!(next.result().await.unwrap(), 1);
        first.kill();
        // As after a clock that was set back. Its lock says nothing, and no more does the instant.
        let ahead = "UPDATE chrono_forge_workers SET heartbeat_at = heartbeat_at + 3600000000 WHERE pid = ?";
        ground.look().edit(ahead, &[i64::from(first.pid()).into()]);
        let dead = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NOT NULL";
        ground.await_row("the dead one is found out", dead);
    });
}

/// Where nothing but silence tells who is dead, on a file as on a server.
#[backends(sqlite_only = "a server has no lock files")]
fn where_everybody_gets_every_lock_a_worker_is_judged_by_its_own_lease(backend: Backend) {
    const PATIENT: [&str; 4] = ["--lease-ms", "30000", "--heartbeat-ms", "15000"];
    bounded(async {
        let ground = ground(backend);
        let locks = shim(ground.folder(), "locks", LOCKS);
        let granting = [("LD_PRELOAD", &*locks)];
        let _patient = ground.victim_in(&PATIENT, &granting);
        let forge = ground.observer().await;
        let labour = labour(ground.out(), 1, LONG_MILLIS);
        let run = forge.start("r", labour).await.unwrap();
        ground.await_that("it works", || !ground.lines().is_empty());
        let _hasty = ground.victim_in(&SHORT, &granting);
        assert_eq!(run.result().await.unwrap(), 1);
        assert_nobody_died(&ground);
    });
}
