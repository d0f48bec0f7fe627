//! Calls between processes make everything faster than the poll interval, and are never needed.

use std::time::Duration;

use chrono_forge::Forge;
use chrono_forge_tests::labour::{fan, labour};
use chrono_forge_tests::process::bounded_by;
use chrono_forge_tests::proxy::Proxy;

use crate::fleet::{Fleet, HANGS};

/// Who waits for a look waits longer than a test may take.
const NEVER_MS: &str = "3600000";

/// An engine that executes nothing.
async fn client(url: &str, poll: Duration) -> Forge {
    let client = Forge::builder(url).worker(false).poll_interval(poll);
    client.open().await.unwrap()
}

#[test]
fn nobody_waits_for_a_look_where_calls_are_carried() {
    let Some(fleet) = Fleet::start("nobody_waits_for_a_look_where_calls_are_carried") else {
        return;
    };
    bounded_by(HANGS, async {
        let url = fleet.server.url("");
        let _workers = [
            fleet.worker_at(&url, &["--poll-ms", NEVER_MS]),
            fleet.worker_at(&url, &["--poll-ms", NEVER_MS]),
        ];
        let forge = client(&url, Duration::from_millis(NEVER_MS.parse().unwrap())).await;
        for n in 0..20 {
            let key = format!("r{n}");
            let run = forge.start(&key, labour(fleet.out(), 2, 0)).await.unwrap();
            assert_eq!(run.result().await.unwrap(), 2);
        }
        let run = forge.start("p", fan(fleet.out(), 300, 2, 0)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 600);
    });
}

/// As under the very first run of a process, whose connection that listens may come too late for
/// it.
#[test]
fn who_heard_nothing_for_a_while_looks_at_what_is_awaited() {
    let Some(fleet) = Fleet::start("who_heard_nothing_for_a_while_looks_at_what_is_awaited") else {
        return;
    };
    bounded_by(HANGS, async {
        let _worker = fleet.worker_at(&fleet.server.url(""), &["--poll-ms", "50"]);
        let proxy = Proxy::to(fleet.server.port());
        let url = fleet.server.url_at(proxy.port(), "");
        let forge = client(&url, Duration::from_millis(NEVER_MS.parse().unwrap())).await;
        for n in 0..3 {
            let key = format!("r{n}");
            let run = forge
                .start(&key, labour(fleet.out(), 1, 200))
                .await
                .unwrap();
            let waiting = tokio::spawn(async move { run.result().await });
            tokio::time::sleep(Duration::from_millis(50)).await;
            proxy.cut();
            let is_over = format!(
                "SELECT count(*) AS number FROM chrono_forge_workflows WHERE key = '{key}' AND state = 2"
            );
            fleet.await_row("the run is over", &is_over);
            proxy.mend();
            assert_eq!(waiting.await.unwrap().unwrap(), 1);
        }
    });
}

#[test]
fn where_no_calls_are_carried_looking_is_enough() {
    let Some(fleet) = Fleet::start("where_no_calls_are_carried_looking_is_enough") else {
        return;
    };
    bounded_by(HANGS, async {
        let url = fleet.server.url("notify=off");
        let _workers = [
            fleet.worker_at(&url, &["--poll-ms", "50"]),
            fleet.worker_at(&url, &["--poll-ms", "50"]),
        ];
        let forge = client(&url, Duration::from_millis(50)).await;
        for n in 0..5 {
            let key = format!("r{n}");
            let run = forge.start(&key, labour(fleet.out(), 2, 0)).await.unwrap();
            assert_eq!(run.result().await.unwrap(), 2);
        }
        let run = forge.start("p", fan(fleet.out(), 300, 2, 0)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 600);
    });
}

#[test]
fn who_listens_hears_again_after_its_connection_was_cut() {
    let Some(fleet) = Fleet::start("who_listens_hears_again_after_its_connection_was_cut") else {
        return;
    };
    bounded_by(HANGS, async {
        let url = fleet.server.url("");
        let _worker = fleet.worker_at(&url, &["--poll-ms", "200"]);
        // Nothing but a call tells it anything.
        let forge = client(&url, Duration::from_millis(NEVER_MS.parse().unwrap())).await;
        // An ear's last words were either of these.
        let cut = "SELECT count(pg_terminate_backend(pid)) AS number FROM pg_stat_activity
            WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'";
        let listening = "SELECT (count(*) >= 2)::int::bigint AS number FROM pg_stat_activity
            WHERE query LIKE 'LISTEN%'";
        for n in 0..3 {
            fleet.await_row("both listen", listening);
            let key = format!("r{n}");
            let run = forge.start(&key, labour(fleet.out(), 1, 0)).await.unwrap();
            assert_eq!(run.result().await.unwrap(), 1);
            assert_ne!(fleet.number(cut), Some(0));
        }
    });
}
