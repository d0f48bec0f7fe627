//! The database file: opening, refusing, sharing, filling up.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::open;
use crate::error::StoreErrorKind;
use crate::record::*;
use crate::store::conformance::backend::sqlite::Scratch;
use crate::store::conformance::fixture::*;
use crate::store::sqlite::{Location, SqliteOptions, SqliteStore};
use crate::store::*;

fn refusal(options: SqliteOptions) -> StoreError {
    SqliteStore::open(options).err().expect("the store opened")
}

#[test]
fn verify_only_refuses_a_schema_that_is_not_there() {
    let scratch = Scratch::new();
    let verify = SqliteOptions {
        migrate: false,
        ..scratch.options()
    };
    let error = refusal(verify.clone());
    assert_eq!(error.kind, StoreErrorKind::Schema);
    assert!(
        error
            .message
            .contains("open it once without `verify_only()`"),
        "{error}"
    );
    drop(SqliteStore::open(scratch.options()).unwrap());
    assert!(SqliteStore::open(verify).is_ok());
}

#[test]
fn a_newer_schema_is_refused() {
    let scratch = Scratch::new();
    drop(SqliteStore::open(scratch.options()).unwrap());
    scratch
        .raw()
        .batch_execute("INSERT INTO chrono_forge_schema_migrations (version) VALUES ('99990101')")
        .unwrap();
    let error = refusal(scratch.options());
    assert_eq!(error.kind, StoreErrorKind::Schema);
    assert!(error.message.contains("upgrade the binary"), "{error}");
}

#[test]
fn every_migration_goes_down_and_up_again() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.options()).unwrap();
    while store.revert_migration().unwrap().is_some() {}
    drop(store);
    let left: i64 = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(
        "(SELECT count(*) FROM sqlite_schema WHERE name LIKE 'chrono_forge_%' AND name NOT LIKE '%schema_migrations%')",
    ))
    .get_result(&mut scratch.raw())
    .unwrap();
    assert_eq!(left, 0);
    assert!(SqliteStore::open(scratch.options()).is_ok());
}

#[test]
fn commits_survive_what_the_url_asks_for() {
    let scratch = Scratch::new();
    let file = scratch.path("forge.db");
    let file = format!("sqlite://{}", file.display());
    // As SQLite numbers them: 2 is full, 1 is normal.
    for (option, level) in [
        ("", 2),
        ("?synchronous=full", 2),
        ("?synchronous=normal", 1),
    ] {
        let (location, synchronous) = Location::parse(&format!("{file}{option}")).unwrap();
        let options = SqliteOptions {
            synchronous,
            ..SqliteOptions::new(location)
        };
        let store = SqliteStore::open(options).unwrap();
        let asked = diesel::dsl::sql::<diesel::sql_types::BigInt>(
            "(SELECT synchronous FROM pragma_synchronous)",
        );
        let found: i64 = diesel::select(asked)
            .get_result(&mut *store.writing.lock())
            .unwrap();
        assert_eq!(found, level, "{option}");
    }
}

#[test]
fn what_is_no_database_is_corrupt() {
    let scratch = Scratch::new();
    let path = scratch.path("forge.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    assert_eq!(refusal(scratch.options()).kind, StoreErrorKind::Corrupt);
}

#[test]
fn a_right_that_is_lost_under_the_engine_is_told_with_the_path() {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.options()).unwrap();
    let mut writer = store.writer().unwrap();
    store
        .writing
        .lock()
        .batch_execute("PRAGMA query_only = ON")
        .unwrap();
    let error = writer
        .register_worker(&entry("x", "h", 1), at(0))
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Access, "{error}");
    let path = scratch.path("forge.db").display().to_string();
    assert!(error.message.contains(&path), "{error}");
}

#[test]
fn a_full_disk_is_transient_and_leaves_the_store_usable() {
    let (mut forge, scratch) = open();
    let run = forge.running("p");
    let store = SqliteStore::open(scratch.options()).unwrap();
    let full = "PRAGMA max_page_count = 30";
    store.writing.lock().batch_execute(full).unwrap();
    let mut writer = store.writer().unwrap();
    let plan = Plan {
        records: vec![completed(1, &"x".repeat(200_000))],
        ..forge.plan(&run)
    };
    let error = writer
        .apply(std::slice::from_ref(&plan), at(3))
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
    store
        .writing
        .lock()
        .batch_execute("PRAGMA max_page_count = 100000")
        .unwrap();
    let applied = writer.apply(&[plan], at(3)).unwrap();
    assert_eq!(
        applied.outcomes[0].verdict,
        Verdict::Applied { woken: false }
    );
}

#[test]
fn a_lock_that_stays_taken_is_transient() {
    let (mut forge, scratch) = open();
    let options = SqliteOptions {
        busy_timeout: Duration::from_millis(20),
        ..scratch.options()
    };
    let mut writer = SqliteStore::open(options).unwrap().writer().unwrap();
    let mut holder = scratch.raw();
    holder.batch_execute("BEGIN IMMEDIATE").unwrap();
    let error = writer
        .register_worker(&entry("x", "h", 1), at(0))
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
    holder.batch_execute("COMMIT").unwrap();
    assert!(writer.register_worker(&entry("x", "h", 1), at(0)).is_ok());
    forge.writer.heartbeat(forge.worker, &[], at(1)).unwrap();
}

#[test]
fn a_lock_is_a_file_beside_the_database() {
    let (forge, scratch) = open();
    let locks = forge.store.worker_locks().unwrap();
    let _guard = locks.hold(forge.worker).unwrap();
    let name = format!("forge.db-worker-{}.lock", forge.worker);
    assert!(scratch.path(&name).exists());
    locks.remove(forge.worker);
    assert!(!scratch.path(&name).exists());
}

#[test]
fn a_database_in_memory_does_the_same_without_files() {
    let store = SqliteStore::open(SqliteOptions::new(Location::Memory)).unwrap();
    assert!(store.worker_locks().is_none());
    assert!(store.listener().unwrap().is_none());
    let mut writer = store.writer().unwrap();
    writer.start(&[start("p", "flow", 1, None)], at(1)).unwrap();
    assert!(store.find_run("flow", "p").unwrap().is_some());
    assert_eq!(
        store
            .next_wake(&names(&["default"]), &names(&["flow"]))
            .unwrap(),
        since(1)
    );
}

#[test]
fn a_database_shared_with_an_application_is_left_as_it_is() {
    let scratch = Scratch::new();
    scratch
        .raw()
        .batch_execute(
            "CREATE TABLE __diesel_schema_migrations (version TEXT PRIMARY KEY, run_on TEXT);
             INSERT INTO __diesel_schema_migrations VALUES ('99999999', '');",
        )
        .unwrap();
    assert!(SqliteStore::open(scratch.options()).is_ok());
    assert!(SqliteStore::open(scratch.options()).is_ok());
}
