//! Settings that a role, a database or a server brings along: sessions of ours are told otherwise.

use std::time::Duration;

use super::side::Side;
use crate::record::*;
use crate::store::conformance::backend::postgres::Schema;
use crate::store::conformance::fixture::*;
use crate::store::conformance::told::Told;
use crate::store::postgres::{Lender, PostgresOptions, PostgresStore};
use crate::store::{Store, StoreErrorKind, Writer};

/// As if the role had this setting, on a session of our own and on one of a pooler.
fn with_setting(options: &PostgresOptions, setting: &str) -> [PostgresOptions; 2] {
    let url = format!("{}&options=-c%20{setting}", options.url);
    [false, true].map(|pooler| PostgresOptions {
        url: url.clone(),
        pooler,
        ..options.clone()
    })
}

/// In a transaction that sees the database as it was when it began, whoever waited for a claim would not see what
/// it claimed: the run would stay with the dead worker for ever.
#[test]
fn a_death_sees_what_it_waited_for_whatever_the_isolation_of_the_role() {
    skip_without_server!();
    for isolation in ["repeatable%5C%20read", "serializable"] {
        let schema = Schema::new();
        let options = schema.options();
        let mut forge = Forge::of(Box::new(schema));
        let mut side = Side::of(&options);
        let setting = format!("default_transaction_isolation%3D{isolation}");
        for (nth, options) in with_setting(&options, &setting).into_iter().enumerate() {
            let run = forge.start_at(&format!("p{nth}"), 1, at(1));
            forge.worker = register(forge.writer.as_mut());
            let worker = forge.worker;
            side.run(&format!(
                "BEGIN;
                SELECT id FROM chrono_forge_workers WHERE id = {worker} FOR KEY SHARE;
                UPDATE chrono_forge_workflows
                SET state = 1, wake_at = NULL, locked_by = {worker}, lock_epoch = 1::bigint << 32 WHERE id = {run};
                INSERT INTO chrono_forge_claims (worker_id, run_ids) VALUES ({worker}, '{{{run}}}')"
            ));
            let mut other = PostgresStore::open(options).unwrap().writer().unwrap();
            let recovered = std::thread::scope(|scope| {
                let dead = scope.spawn(move || other.declare_dead(worker, None, LIMITS, at(20)));
                side.until_somebody_waits();
                side.run("COMMIT");
                dead.join().unwrap().unwrap().unwrap()
            });
            assert_eq!(recovered.due, 1, "{isolation} {nth}");
            assert_eq!(forge.row(run).state, RunState::Idle);
        }
    }
}

fn register(writer: &mut dyn Writer) -> WorkerId {
    writer
        .register_worker(&entry("w", "host", 1), at(0))
        .unwrap()
}

/// Of a limit that is told in the server's language nothing is known but how long it took. No run fails for it.
#[test]
fn a_time_limit_in_another_language_refuses_nothing() {
    skip_without_server!();
    let schema = Schema::new();
    let mut options = schema.options();
    options.lease = Duration::from_secs(1);
    let mut forge = Forge::of(Box::new(schema));
    let run = forge.running("p");
    let mut side = Side::of(&options);
    let limit = |millis: u32| {
        format!(
            "CREATE OR REPLACE FUNCTION limited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                PERFORM pg_sleep({millis} / 1000.0);
                RAISE EXCEPTION 'storniere Anfrage wegen Zeitablaufs' USING ERRCODE = '57014';
            END $$"
        )
    };
    side.run(&limit(250));
    side.run(
        "CREATE TRIGGER limited BEFORE UPDATE ON chrono_forge_workflows
        FOR EACH ROW EXECUTE FUNCTION limited()",
    );
    let mut writer = PostgresStore::open(options).unwrap().writer().unwrap();
    let plans = [Plan {
        end: Some(done("1")),
        ..forge.plan(&run)
    }];
    let mut refusal = || writer.apply(&plans, at(10)).unwrap_err().kind;
    assert_eq!(refusal(), StoreErrorKind::Transient);
    // What comes at once is the value's own.
    side.run(&limit(0));
    assert_eq!(refusal(), StoreErrorKind::Refused);
}

#[test]
fn a_migration_takes_its_time_whatever_the_limits_of_the_role() {
    skip_without_server!();
    let schema = Schema::new();
    let options = schema.options();
    let mut side = Side::of(&options);
    side.run(
        "CREATE TABLE chrono_forge_schema_migrations
            (version text PRIMARY KEY, run_at timestamptz NOT NULL DEFAULT now());
        BEGIN; LOCK TABLE chrono_forge_schema_migrations IN ROW EXCLUSIVE MODE",
    );
    let [options, _] = with_setting(&options, "statement_timeout%3D200");
    let opened = std::thread::scope(|scope| {
        let opened = scope.spawn(move || PostgresStore::open(options).map(drop));
        side.until_somebody_waits();
        std::thread::sleep(Duration::from_millis(400));
        side.run("COMMIT");
        opened.join().unwrap()
    });
    opened.unwrap();
}

/// As before a pooler whose sessions are all taken: whatever needs the session waits, too.
#[test]
fn a_session_that_is_waited_for_is_told_with_what_the_engine_keeps() {
    skip_without_server!();
    let schema = Schema::new();
    let options = schema.options();
    let url = options.url.clone();
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let lend = move || {
        if is_first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2_300));
        }
        diesel::Connection::establish(&url).map(Box::<diesel::PgConnection>::new)
    };
    let needed = options.connections(true);
    let most = needed + options.connections_for_locks();
    let told = Told::default();
    told.hear(|| {
        let lender = Lender::new(most, lend);
        PostgresStore::open_lent(options, lender).map(drop).unwrap();
    });
    let lines = told.lines();
    let waits: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("no session for 2 s"))
        .collect();
    assert_eq!(waits.len(), 1, "{lines:?}");
    assert!(waits[0].starts_with("WARN"), "{waits:?}");
    assert!(waits[0].contains(&format!("needed={needed}")), "{waits:?}");
}
