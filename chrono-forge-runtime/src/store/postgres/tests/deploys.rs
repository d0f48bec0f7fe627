//! A schema that is changed while others work, and while somebody reads.

use std::time::{Duration, Instant};

use super::side::Side;
use crate::record::{RunId, WorkerId};
use crate::store::caller::Waiting;
use crate::store::conformance::fixture::*;
use crate::store::conformance::later::Later;
use crate::store::conformance::told::Told;
use crate::store::postgres::{PostgresOptions, PostgresStore, upgrade};
use crate::store::{Store, StoreError, StoreErrorKind, StoreResult, Writer};

const INDEX: &str = "chrono_forge_later_started";

/// As the next release may add one.
fn a_column() -> Later {
    let up = "ALTER TABLE chrono_forge_workers ADD COLUMN note text";
    let down = "ALTER TABLE chrono_forge_workers DROP COLUMN note";
    Later::new().with("2999-01-01-000000_a_note", up, down)
}

fn an_index() -> Later {
    let up = format!(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS {INDEX} ON chrono_forge_workflows (started_at)"
    );
    let down = format!("DROP INDEX CONCURRENTLY IF EXISTS {INDEX}");
    Later::new().beside("2999-01-01-000000_an_index", &up, &down)
}

fn bring(options: &PostgresOptions, later: &Later) -> StoreResult<()> {
    upgrade(options.clone(), &later.migrations(), &[])
}

/// A worker that renews its lease all the time.
struct Pulse {
    writer: Box<dyn Writer>,
    worker: WorkerId,
    longest: Duration,
    failures: Vec<StoreError>,
}

impl Pulse {
    fn new(options: &PostgresOptions) -> Self {
        let store = PostgresStore::open(options.clone()).unwrap();
        let mut writer = store.heartbeat_writer().unwrap();
        let entered = writer.register_worker(&entry("w", "host", 1), at(0));
        Self {
            worker: entered.unwrap(),
            writer,
            longest: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    /// As often as it can for so long.
    fn beat(&mut self, span: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < span {
            let asked = Instant::now();
            let beat = self.writer.heartbeat(self.worker, &[], at(1));
            self.failures.extend(beat.err());
            self.longest = self.longest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whoever comes behind a change that waits has to wait, too: so it does not wait for long.
#[test]
fn a_deploy_beside_a_reader_keeps_no_heartbeat_waiting() {
    skip_without_server!();
    let (_forge, mut side) = Side::new();
    let options = PostgresOptions {
        lease: Duration::from_secs(5),
        ..side.options().clone()
    };
    let mut pulse = Pulse::new(&options);
    let told = Told::default();
    side.run("BEGIN; SELECT count(*) FROM chrono_forge_workers, chrono_forge_workflows");
    let changed_early = std::thread::scope(|scope| {
        let deploy = scope.spawn(|| {
            let bring = || bring(&options, &a_column());
            told.hear(bring)
        });
        side.until_it_waits(&deploy);
        // It tries again and again meanwhile.
        pulse.beat(Duration::from_secs(13));
        let changed_early = deploy.is_finished();
        side.run("COMMIT");
        deploy.join().unwrap().unwrap();
        changed_early
    });
    assert!(!changed_early, "it changed what was in use");
    pulse.beat(Duration::from_millis(100));
    assert!(pulse.failures.is_empty(), "{:?}", pulse.failures);
    assert!(pulse.longest < options.lease / 2, "{:?}", pulse.longest);
    let is_there = "SELECT count(*) FROM pg_attribute
        WHERE attrelid = 'chrono_forge_workers'::regclass AND attname = 'note'";
    assert_eq!(side.count(is_there), 1);
    let waits = |line: &&String| line.starts_with("WARN") && line.contains("the schema waits");
    let lines = told.lines();
    let line = lines
        .iter()
        .find(waits)
        .expect("it is told who is in the way");
    for word in ["29990101000000", "pid ", "chrono_forge_work", "since "] {
        assert!(line.contains(word), "{word}: {line}");
    }
    assert!(
        lines.iter().any(|line| line.contains("no longer in use")),
        "{lines:?}"
    );
}

/// Nobody else would end its wait, which keeps the runtime that it was opened on from its end.
#[test]
fn a_deploy_whose_caller_is_gone_waits_no_longer_and_changes_nothing() {
    skip_without_server!();
    let (_forge, mut side) = Side::new();
    let waiting = Waiting::default();
    let options = PostgresOptions {
        caller: waiting.caller(),
        ..side.options().clone()
    };
    side.run("BEGIN; SELECT count(*) FROM chrono_forge_workers, chrono_forge_workflows");
    let refused = std::thread::scope(|scope| {
        let deploy = scope.spawn(|| bring(&options, &a_column()));
        side.until_it_waits(&deploy);
        drop(waiting);
        // What is in its way stays there.
        deploy.join().unwrap().unwrap_err()
    });
    assert!(refused.is_locked(), "{refused}");
    side.run("COMMIT");
    let is_there = "SELECT count(*) FROM pg_attribute
        WHERE attrelid = 'chrono_forge_workers'::regclass AND attname = 'note'";
    assert_eq!(side.count(is_there), 0);
}

/// What is new locks nothing that is used, so a reader is nothing that it waits for.
#[test]
fn a_deploy_that_touches_no_table_of_ours_does_not_wait_for_readers() {
    skip_without_server!();
    let (_forge, mut side) = Side::new();
    let options = side.options().clone();
    side.run("BEGIN; SELECT count(*) FROM chrono_forge_workers, chrono_forge_workflows");
    std::thread::sleep(Duration::from_millis(1_100));
    let up = "CREATE TABLE chrono_forge_later (n bigint)";
    let later = Later::new().with(
        "2999-01-01-000000_a_table",
        up,
        "DROP TABLE chrono_forge_later",
    );
    bring(&options, &later).unwrap();
    side.run("COMMIT");
}

#[test]
fn an_index_is_built_beside_the_work_by_however_many_that_open_at_once() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let options = side.options().clone();
    let run = forge.start_at("held", 1, at(1));
    // A build waits for this one.
    side.run(&format!("BEGIN; {}", touch(run)));
    std::thread::scope(|scope| {
        let deploys: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| bring(&options, &an_index())))
            .collect();
        side.until_somebody_waits();
        for nth in 0..20 {
            forge.start_at(&format!("beside{nth}"), 1, at(1));
            assert_eq!(forge.claim(at(1)).len(), 1);
        }
        assert!(deploys.iter().any(|deploy| !deploy.is_finished()));
        side.run("COMMIT");
        for deploy in deploys {
            deploy.join().unwrap().unwrap();
        }
    });
    assert_eq!(side.count(&valid()), 1);
}

/// Its note comes between the look for one and ours.
#[test]
fn an_index_that_another_process_notes_first_is_there() {
    skip_without_server!();
    let (_forge, mut side) = Side::new();
    let options = side.options().clone();
    bring(&options, &an_index()).unwrap();
    side.run(
        "CREATE TEMP TABLE noted AS SELECT * FROM chrono_forge_schema_migrations WHERE version > '2990';
        DELETE FROM chrono_forge_schema_migrations WHERE version > '2990'",
    );
    side.run("BEGIN; INSERT INTO chrono_forge_schema_migrations SELECT * FROM noted");
    std::thread::scope(|scope| {
        let deploy = scope.spawn(|| bring(&options, &an_index()));
        side.until_it_waits(&deploy);
        side.run("COMMIT");
        deploy.join().unwrap().unwrap();
    });
    assert_eq!(side.count(&valid()), 1);
}

/// Writes this run's row, and changes nothing.
fn touch(run: RunId) -> String {
    format!("UPDATE chrono_forge_workflows SET started_at = started_at WHERE id = {run}")
}

fn valid() -> String {
    format!(
        "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('{INDEX}') AND indisvalid"
    )
}

/// A process that ends in the middle leaves an index that nobody reads and everybody writes.
#[test]
fn an_index_whose_build_was_cut_off_is_built_anew() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let options = side.options().clone();
    let run = forge.start_at("held", 1, at(1));
    let mut cut_off = Side::of(&options);
    side.run(&format!("BEGIN; {}", touch(run)));
    cut_off.run("SET statement_timeout TO 300");
    let build = format!("CREATE INDEX CONCURRENTLY {INDEX} ON chrono_forge_workflows (started_at)");
    cut_off.try_run(&build).unwrap_err();
    side.run("COMMIT");
    let there = format!(
        "SELECT count(*) FROM pg_class WHERE relname = '{INDEX}' AND relnamespace = '{}'::regnamespace",
        options.schema
    );
    assert_eq!((side.count(&there), side.count(&valid())), (1, 0));
    bring(&options, &an_index()).unwrap();
    assert_eq!((side.count(&there), side.count(&valid())), (1, 1));
    // What was built and not noted is not built again.
    side.run("DELETE FROM chrono_forge_schema_migrations WHERE version > '2990'");
    bring(&options, &an_index()).unwrap();
    assert_eq!(
        side.count("SELECT count(*) FROM chrono_forge_schema_migrations WHERE version > '2990'"),
        1
    );
}

#[test]
fn a_pooler_in_transaction_mode_builds_no_index_and_says_who_does() {
    skip_without_server!();
    let (_forge, side) = Side::new();
    let options = PostgresOptions {
        pooler: true,
        ..side.options().clone()
    };
    let error = bring(&options, &an_index()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Schema, "{error}");
    assert!(
        error.message.contains("leads to the server itself"),
        "{error}"
    );
}

/// A session that was opened before a column got another type asks again on a new one.
#[test]
fn what_was_prepared_for_an_older_schema_is_prepared_anew() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let run = forge.start_at("a", 1, at(1));
    for kind in ["varchar(99)", "text"] {
        assert!(forge.store.run(run).unwrap().is_some());
        side.run(&format!(
            "ALTER TABLE chrono_forge_workflows ALTER COLUMN output TYPE {kind}"
        ));
    }
    assert!(forge.store.run(run).unwrap().is_some());
}

/// As `pg_restore` leaves tables until it comes to their constraints.
#[test]
fn a_schema_that_is_being_put_back_is_waited_for_and_then_told_from_a_wrong_one() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let definition = "SELECT pg_get_indexdef('chrono_forge_workflows_identity'::regclass) AS text";
    let definition = forge.database.texts(definition).remove(0);
    side.run("DROP INDEX chrono_forge_workflows_identity");
    let starts = [start("a", "flow", 1, None)];
    let refused = forge.writer.start(&starts, at(1)).unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Schema, "{refused}");
    assert!(refused.message.contains("put back"), "{refused}");
    let started = std::thread::scope(|scope| {
        let starting = scope.spawn(|| forge.writer.start(&starts, at(1)));
        std::thread::sleep(Duration::from_millis(300));
        side.run(&definition);
        starting.join().unwrap()
    });
    started.unwrap();
}
