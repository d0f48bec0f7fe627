//! Replies that are lost, sessions that are cut off, and networks that go dead: each ends in the right rows.

use std::time::{Duration, Instant};

use chrono_forge_tests::labour::fan;
use chrono_forge_tests::process::bounded_by;
use chrono_forge_tests::proxy::Proxy;

use crate::fleet::{Fleet, HANGS, Random, figure};

/// How long after the trouble is over everything is done by itself: two leases, and the work that is left.
fn assert_done_soon(fleet: &Fleet, since: Instant) {
    let took = since.elapsed();
    println!("done {took:?} after the last trouble");
    assert!(took < fleet.lease * 2 + Duration::from_secs(30), "{took:?}");
}

/// A fan-out worked off by two workers, one of them behind a proxy, while `trouble` goes on.
fn survives(test: &str, children: u64, trouble: impl FnOnce(&Fleet, &Proxy)) {
    let Some(fleet) = Fleet::start(test) else {
        return;
    };
    bounded_by(HANGS, async {
        let proxy = Proxy::to(fleet.server.port());
        let troubled = fleet
            .server
            .url_at(proxy.port(), "application_name=troubled");
        let _first = fleet.worker_at(&troubled, &[]);
        let _second = fleet.worker();
        let forge = fleet.observer().await;
        let run = forge
            .start("p", fan(fleet.out(), children as u32, 2, 40))
            .await
            .unwrap();
        trouble(&fleet, &proxy);
        let quiet = Instant::now();
        proxy.mend();
        proxy.thaw();
        assert_eq!(u64::from(run.result().await.unwrap()), children * 2);
        assert_done_soon(&fleet, quiet);
        fleet.assert_whole(children, 2);
        fleet.await_row(
            "nothing is held any more",
            "SELECT count(*) AS number FROM (SELECT 1) AS one WHERE NOT EXISTS (
                SELECT 1 FROM chrono_forge_workflows WHERE locked_by IS NOT NULL)",
        );
    });
}

/// Loses so many replies to requests that contain this text.
fn rob(proxy: &Proxy, text: &str, times: usize) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for nth in 1..=times {
        proxy.rob(text, random.below(3) as usize);
        let begun = Instant::now();
        while proxy.robberies() < nth {
            assert!(begun.elapsed() < HANGS, "nothing to rob: {text:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(random.below(120)));
    }
}

#[test]
fn commits_whose_reply_is_lost_are_settled_by_looking() {
    let times = figure("ROBBERIES", 12) as usize;
    survives(
        "commits_whose_reply_is_lost_are_settled_by_looking",
        3_000,
        |_, proxy| rob(proxy, "COMMIT", times),
    );
}

#[test]
fn any_reply_may_be_lost_at_any_moment() {
    let times = figure("ROBBERIES", 20) as usize;
    survives("any_reply_may_be_lost_at_any_moment", 3_000, |_, proxy| {
        rob(proxy, "", times);
    });
}

/// A claim names the workflows that it wants: only its request holds this name.
#[test]
fn a_claim_whose_reply_is_lost_is_handed_back() {
    survives(
        "a_claim_whose_reply_is_lost_is_handed_back",
        3_000,
        |_, proxy| rob(proxy, "awaits_file", 6),
    );
}

#[test]
fn backends_that_an_operator_kills_take_nothing_with_them() {
    survives(
        "backends_that_an_operator_kills_take_nothing_with_them",
        3_000,
        |fleet, _| {
            for _ in 0..figure("ROBBERIES", 20) {
                let killed = fleet.number(
                    "SELECT count(pg_terminate_backend(pid)) AS number FROM (
                        SELECT pid FROM pg_stat_activity
                        WHERE application_name = 'troubled' ORDER BY random() LIMIT 2
                    ) AS sessions",
                );
                assert!(killed.is_some());
                std::thread::sleep(Duration::from_millis(150));
            }
        },
    );
}

#[test]
fn a_worker_whose_network_goes_dead_is_replaced_and_comes_back() {
    survives(
        "a_worker_whose_network_goes_dead_is_replaced_and_comes_back",
        4_000,
        |fleet, proxy| {
            std::thread::sleep(Duration::from_millis(700));
            proxy.freeze();
            fleet.await_row(
                "the one that is cut off is declared dead",
                "SELECT count(*) AS number FROM chrono_forge_workers WHERE stopped_at IS NOT NULL",
            );
            std::thread::sleep(fleet.lease);
        },
    );
}

#[test]
fn a_worker_that_is_cut_off_comes_back() {
    survives(
        "a_worker_that_is_cut_off_comes_back",
        4_000,
        |fleet, proxy| {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(500));
                proxy.cut();
                std::thread::sleep(fleet.lease / 2);
                proxy.mend();
            }
        },
    );
}
