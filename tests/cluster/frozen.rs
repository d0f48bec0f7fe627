//! A worker that is frozen past its lease and goes on: it commits nothing of what it held, and starts no effect.

use std::time::Duration;

use chrono_forge_tests::labour::labour;
use chrono_forge_tests::process::{Victim, bounded_by};

use crate::fleet::{Fleet, HANGS};

/// Runs at work while somebody is frozen, and steps of each.
const RUNS: u64 = 24;
const STEPS: u32 = 30;

/// How long a worker that goes on is watched.
const WATCH: Duration = Duration::from_secs(1);

/// Where the worker is frozen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No session of it has a transaction open.
    Outside,
    /// The server waits for the next statement of a transaction that writes.
    Inside,
}

fn freezes(test: &str, place: Place) {
    let Some(fleet) = Fleet::start(test) else {
        return;
    };
    bounded_by(HANGS, async {
        let first = fleet.worker_at(&fleet.server.url("application_name=first"), &[]);
        let forge = fleet.observer().await;
        let mut runs = Vec::new();
        for n in 0..RUNS {
            let labour = labour(fleet.out(), STEPS, 5);
            runs.push(forge.start(&format!("r{n}"), labour).await.unwrap());
        }
        fleet.await_row(
            "the first works",
            "SELECT count(*) AS number FROM chrono_forge_execution_logs",
        );
        freeze(&fleet, &first, place);
        let second = fleet.worker();
        for run in runs {
            assert_eq!(run.result().await.unwrap(), STEPS);
        }
        let (rows, effects) = (rows(&fleet), fleet.lines().len());
        first.signal("CONT");
        let alive = format!(
            "SELECT count(*) AS number FROM chrono_forge_workers WHERE pid = {} AND stopped_at IS NULL",
            first.pid()
        );
        fleet.await_row("the first registers anew", &alive);
        tokio::time::sleep(WATCH).await;
        assert_eq!(rows, self::rows(&fleet));
        let lines = fleet.lines();
        let begun = lines[effects..].iter().any(|line| line.edge == "begin");
        assert!(!begun, "{:?}", &lines[effects..]);
        assert_each_step_once(&fleet);
        // It is of use again.
        drop(second);
        let again = forge
            .start("again", labour(fleet.out(), 3, 0))
            .await
            .unwrap();
        assert_eq!(again.result().await.unwrap(), 3);
    });
}

/// Stops it where it was asked to be.
fn freeze(fleet: &Fleet, victim: &Victim, place: Place) {
    let inside = "SELECT count(*) AS number FROM pg_stat_activity
        WHERE application_name = 'first' AND state = 'idle in transaction' AND backend_xid IS NOT NULL";
    loop {
        victim.signal("STOP");
        // What the server was doing for it comes to its end.
        std::thread::sleep(Duration::from_millis(20));
        let is_inside = fleet.number(inside).unwrap() > 0;
        if is_inside == (place == Place::Inside) {
            return;
        }
        victim.signal("CONT");
        std::thread::sleep(Duration::from_millis(3));
        assert_ne!(
            fleet.number("SELECT count(*) AS number FROM chrono_forge_workflows WHERE state < 2"),
            Some(0),
            "the work was over before the worker was caught where it should be"
        );
    }
}

/// Everything that a commit could change.
fn rows(fleet: &Fleet) -> Vec<String> {
    let runs =
        "SELECT format('%s %s %s %s %s', id, state, lock_epoch, output, completed_at) AS text
        FROM chrono_forge_workflows ORDER BY id";
    let records =
        "SELECT format('%s %s %s %s %s %s', id, workflow_id, state, seq, attempts, result) AS text
        FROM chrono_forge_execution_logs ORDER BY id";
    let errors =
        "SELECT format('%s %s', workflow_id, error_message) AS text FROM chrono_forge_error_logs";
    [runs, records, errors].map(|sql| fleet.texts(sql)).concat()
}

fn assert_each_step_once(fleet: &Fleet) {
    let records = fleet.number(
        "SELECT count(*) AS number FROM chrono_forge_execution_logs WHERE state = 1 AND step_name LIKE 'step$%'",
    );
    assert_eq!(records, Some((RUNS * u64::from(STEPS)) as i64));
    let errors = fleet.number("SELECT count(*) AS number FROM chrono_forge_error_logs");
    assert_eq!(errors, Some(0), "{}", fleet.story());
}

#[test]
fn a_worker_that_is_frozen_between_transactions_writes_nothing_afterwards() {
    freezes(
        "a_worker_that_is_frozen_between_transactions_writes_nothing_afterwards",
        Place::Outside,
    );
}

#[test]
fn a_worker_that_is_frozen_inside_a_transaction_writes_nothing_afterwards() {
    freezes(
        "a_worker_that_is_frozen_inside_a_transaction_writes_nothing_afterwards",
        Place::Inside,
    );
}
