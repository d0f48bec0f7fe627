//! Killed, aborted at a named commit, or asked to stop.

use std::time::{Duration, Instant};

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::{fan, labour, ticker};
use chrono_forge_tests::process::bounded;

use crate::ground;

#[backends]
fn a_killed_process_is_replaced_at_once_although_its_lease_is_long(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let mut first = ground.victim(ground.lease(), "");
        let forge = ground.observer().await;
        let run = forge
            .start("r", labour(ground.out(), 30, 30))
            .await
            .unwrap();
        ground.await_that("the first works", || !ground.lines().is_empty());
        let second = ground.victim(ground.lease(), "");
        first.kill();
        let killed = Instant::now();
        ground.await_that("the second goes on", || {
            ground.lines().iter().any(|line| line.pid == second.pid())
        });
        let pause = killed.elapsed();
        assert!(pause < Duration::from_secs(5), "it took {pause:?}");
        assert_eq!(run.result().await.unwrap(), 30);
        ground.assert_whole(1);
    });
}

#[backends]
fn a_restart_after_a_kill_goes_on_at_once(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let mut first = ground.victim(ground.lease(), "");
        let forge = ground.observer().await;
        let run = forge
            .start("r", labour(ground.out(), 10, 20))
            .await
            .unwrap();
        ground.await_that("the first works", || !ground.lines().is_empty());
        first.kill();
        let killed = Instant::now();
        let _second = ground.victim(ground.lease(), "");
        assert_eq!(run.result().await.unwrap(), 10);
        assert!(
            killed.elapsed() < Duration::from_secs(10),
            "{:?}",
            killed.elapsed()
        );
        ground.assert_whole(1);
    });
}

#[backends]
fn fifteen_kills_of_a_repeat_lose_double_and_skip_no_tick(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let forge = ground.observer().await;
        let run = forge
            .start("t", ticker(ground.out(), 60, 25))
            .await
            .unwrap();
        for _ in 0..15 {
            let mut victim = ground.victim(ground.lease(), "");
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            std::thread::sleep(Duration::from_millis(10 + random % 120));
            victim.kill();
        }
        let _last = ground.victim(ground.lease(), "");
        assert_eq!(run.result().await.unwrap(), 60);
        ground.assert_whole(15);
        // Sixty rows, one after the other on the grid, none failed, none but the repeat's own beside.
        let rows = "SELECT count(*) FROM chrono_forge_execution_logs WHERE state = 1";
        assert_eq!(ground.look().number(rows, &[]), 61);
        let mut ticks: Vec<i64> = ground
            .lines()
            .iter()
            .map(|line| line.step.parse().unwrap())
            .collect();
        assert!(
            ticks.is_sorted(),
            "a tick began before an earlier one was over: {ticks:?}"
        );
        ticks.dedup();
        assert_eq!(ticks.len(), 60);
        assert!(
            ticks.windows(2).all(|pair| pair[1] - pair[0] == 25_000),
            "{ticks:?}"
        );
    });
}

#[backends]
fn twenty_kills_at_random_moments_lose_and_double_no_child(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let forge = ground.observer().await;
        let run = forge
            .start("p", fan(ground.out(), 300, 2, 5))
            .await
            .unwrap();
        for _ in 0..20 {
            let mut victim = ground.victim(ground.lease(), "");
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            std::thread::sleep(Duration::from_millis(random % 90));
            victim.kill();
            // On a crowded machine a run may get nowhere several times in a row, which makes it no poison.
            let sql = "UPDATE chrono_forge_workflows SET crashes = 0 WHERE state < 2";
            ground.look().edit(sql, &[]);
        }
        let _last = ground.victim(ground.lease(), "");
        assert_eq!(run.result().await.unwrap(), 600);
        ground.assert_whole(20);
        let children = "SELECT count(*) FROM chrono_forge_workflows WHERE workflow = 'labour'";
        assert_eq!(ground.look().number(children, &[]), 300);
    });
}

#[backends(sqlite_only = "a server decides itself what its commits survive")]
fn kills_lose_nothing_where_a_commit_need_not_survive_a_power_cut(backend: Backend) {
    bounded(async {
        let ground = ground(backend).asking("synchronous=normal");
        let forge = ground.observer().await;
        let run = forge.start("r", labour(ground.out(), 40, 20)).await;
        for n in 1..=8 {
            let mut victim = ground.victim(ground.lease(), "");
            ground.await_that("it works", || ground.lines().len() > n * 4);
            victim.kill();
        }
        let _last = ground.victim(ground.lease(), "");
        assert_eq!(run.unwrap().result().await.unwrap(), 40);
        ground.assert_whole(8);
    });
}

#[backends]
fn an_abort_at_any_of_the_first_commits_loses_nothing(backend: Backend) {
    bounded(async {
        for n in 1..=4 {
            for side in ["before", "after"] {
                let ground = ground(backend);
                let forge = ground.observer().await;
                let run = forge.start("r", labour(ground.out(), 4, 0)).await.unwrap();
                let points = format!("commit.{side}.apply={n}");
                let mut victim = ground.victim(ground.lease(), &points);
                assert!(!victim.ended().success(), "{points}");
                let _next = ground.victim(ground.lease(), "");
                assert_eq!(run.result().await.unwrap(), 4, "{points}");
                ground.assert_whole(1);
            }
        }
    });
}

#[backends]
fn a_process_that_is_asked_to_stop_hands_over_and_counts_no_crash(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let mut first = ground.victim(ground.lease(), "");
        let forge = ground.observer().await;
        let run = forge
            .start("r", labour(ground.out(), 40, 20))
            .await
            .unwrap();
        ground.await_that("the first works", || ground.lines().len() > 3);
        first.signal("TERM");
        assert!(first.ended().success());
        let left = ground.look().texts(
            "SELECT state || ' ' || crashes || ' ' || flag(wake_at IS NOT NULL)
            FROM chrono_forge_workflows",
            &[],
        );
        assert_eq!(left, ["0 0 1"], "idle, no crash, due");
        let _second = ground.victim(ground.lease(), "");
        assert_eq!(run.result().await.unwrap(), 40);
        // The step under way was allowed to end.
        ground.assert_whole(0);
    });
}
