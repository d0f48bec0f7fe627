//! What waits for what inside one worker.

use std::time::{Duration, Instant};

use chrono_forge_tests::labour::labour;
use chrono_forge_tests::process::bounded_by;
use diesel::connection::SimpleConnection;

use crate::fleet::{Fleet, HANGS};

#[test]
fn a_commit_that_waits_for_a_lock_delays_neither_heartbeats_nor_other_runs() {
    let Some(fleet) =
        Fleet::start("a_commit_that_waits_for_a_lock_delays_neither_heartbeats_nor_other_runs")
    else {
        return;
    };
    bounded_by(HANGS, async {
        let _worker = fleet.worker();
        let forge = fleet.observer().await;
        let run = forge
            .start("held", labour(fleet.out(), 40, 50))
            .await
            .unwrap();
        fleet.await_row(
            "it works",
            "SELECT count(*) AS number FROM chrono_forge_execution_logs",
        );
        // Somebody holds the run's row for longer than two leases.
        let mut holder = fleet.look().unwrap();
        let lock = format!(
            "BEGIN; SELECT 1 FROM chrono_forge_workflows WHERE id = {} FOR UPDATE",
            run.id()
        );
        holder.batch_execute(&lock).unwrap();
        let held = Instant::now();
        // Ids far enough away for every thread to have one.
        for n in 0..64 {
            let key = format!("r{n}");
            forge.start(&key, labour(fleet.out(), 1, 0)).await.unwrap();
        }
        fleet.await_row(
            "runs of the other threads are done",
            "SELECT (count(*) >= 16)::int::bigint AS number FROM chrono_forge_workflows WHERE state = 2",
        );
        while held.elapsed() < fleet.lease * 2 + Duration::from_millis(500) {
            let dead = "SELECT count(*) AS number FROM chrono_forge_workers WHERE heartbeat_at
                < clock_timestamp() - interval '2 seconds'";
            assert_eq!(fleet.number(dead), Some(0), "{}", fleet.story());
            std::thread::sleep(Duration::from_millis(50));
        }
        holder.batch_execute("COMMIT").unwrap();
        assert_eq!(run.result().await.unwrap(), 40);
        // One worker, never declared dead.
        let workers = "SELECT count(*) AS number FROM chrono_forge_workers";
        assert_eq!(fleet.number(workers), Some(1));
        let again =
            "SELECT max(lock_epoch >> 32) AS number FROM chrono_forge_workflows WHERE key = 'held'";
        assert_eq!(fleet.number(again), Some(1));
    });
}
