//! A process that hangs, is declared dead, and goes on.

use std::time::Duration;

use chrono_forge_tests::backend::{self, Backend, backends};
use chrono_forge_tests::labour::labour;
use chrono_forge_tests::process::{Ground, Victim, bounded};
use chrono_forge_tests::rows;

use crate::ground;

const SHORT: [&str; 4] = ["--lease-ms", "1500", "--heartbeat-ms", "500"];
const RUNS: usize = 6;

/// A file's lock says that the process lives; a server knows of nothing but heartbeats.
#[backends(sqlite_only = "a server has no lock files")]
fn a_stopped_process_whose_lock_is_held_keeps_what_it_holds(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let first = ground.victim(&SHORT, "");
        let forge = ground.observer().await;
        let mut runs = Vec::new();
        for n in 0..RUNS {
            let labour = labour(ground.out(), 20, 20);
            runs.push(forge.start(&format!("r{n}"), labour).await.unwrap());
        }
        ground.await_that("the first works", || ground.lines().len() > 4 * RUNS);
        let _second = ground.victim(&SHORT, "");
        stop(&ground, &first);
        // More than two leases.
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        first.signal("CONT");
        for run in runs {
            assert_eq!(run.result().await.unwrap(), 20);
        }
        let dead = "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NOT NULL";
        assert_eq!(ground.look().number(dead, &[]), 0);
        ground.assert_whole(0);
    });
}

mod a_stopped_process_is_replaced_within_its_lease_and_writes_nothing_afterwards {
    #[test]
    #[cfg_attr(
        not(postgres_under_test),
        ignore = "needs --features postgres and CHRONO_FORGE_TEST_POSTGRES_URL"
    )]
    fn postgres() {
        super::backend::run(super::Backend::Postgres, super::is_replaced);
    }
}

fn is_replaced(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let first = ground.victim(&SHORT, "");
        let forge = ground.observer().await;
        let mut runs = Vec::new();
        for n in 0..RUNS {
            let labour = labour(ground.out(), 60, 20);
            runs.push(forge.start(&format!("r{n}"), labour).await.unwrap());
        }
        ground.await_that("the first works", || ground.lines().len() > 4 * RUNS);
        let mut second = ground.victim(&SHORT, "");
        stop(&ground, &first);
        let dead = format!(
            "SELECT count(*) FROM chrono_forge_workers
            WHERE pid = {} AND stopped_at IS NOT NULL",
            first.pid()
        );
        ground.await_row("the first is declared dead", &dead);
        for run in runs {
            assert_eq!(run.result().await.unwrap(), 60);
        }
        let (rows_before, lines_before) = (rows::dump(&ground.look()), ground.lines());
        first.signal("CONT");
        let alive = format!(
            "SELECT count(*) FROM chrono_forge_workers
            WHERE pid = {} AND stopped_at IS NULL",
            first.pid()
        );
        ground.await_row("the first registers anew", &alive);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(rows_before, rows::dump(&ground.look()));
        let lines = ground.lines();
        let begun = lines[lines_before.len()..]
            .iter()
            .any(|line| line.edge == "begin");
        assert!(!begun, "{:?}", &lines[lines_before.len()..]);
        // An effect under way when it was stopped runs again, nothing else.
        ground.assert_whole(1);
        second.kill();
        let again = forge
            .start("again", labour(ground.out(), 3, 0))
            .await
            .unwrap();
        assert_eq!(again.result().await.unwrap(), 3);
        assert!(
            ground
                .lines()
                .iter()
                .any(|line| line.run == "again" && line.pid == first.pid())
        );
    });
}

/// Stops it where it holds no lock.
fn stop(ground: &Ground, victim: &Victim) {
    loop {
        victim.signal("STOP");
        if ground.is_writable() {
            return;
        }
        victim.signal("CONT");
        std::thread::sleep(Duration::from_millis(3));
    }
}
