//! Binaries of two releases on one database: what a migration leaves to those that do not know it.

use super::backend::{Backend, Database};
use super::fixture::*;
use super::later::Later;
use super::told::Told;
use crate::error::StoreErrorKind;
use crate::store::shared::schema::Additive;

/// The migration that only the later binary knows.
const LATER: &str = "29990101000000";

/// One that comes before it, and which this binary does not know either.
const BETWEEN: &str = "29980101000000";

/// The oldest version whose binaries it admits.
const OLD: &str = "20261201000009";

/// The folder that it is in.
const A_TABLE: &str = "2999-01-01-000000_a_table";

fn later() -> Later {
    let up = "CREATE TABLE chrono_forge_later (n bigint)";
    Later::new().with(A_TABLE, up, "DROP TABLE chrono_forge_later")
}

/// Opens it as a later binary does.
fn upgrade(database: &dyn Database, additive: Additive) {
    let later = later();
    database.upgrade(&later.migrations(), additive).unwrap();
    // A second process of it finds everything done.
    database.upgrade(&later.migrations(), additive).unwrap();
    let rows = database.texts("SELECT 'yes' AS text FROM chrono_forge_later");
    assert!(rows.is_empty());
}

/// What the migration has left; `-` if nothing.
fn oldest(database: &dyn Database) -> Vec<String> {
    database.texts(&format!(
        "SELECT coalesce(oldest, '-') AS text FROM chrono_forge_schema_migrations WHERE version = '{LATER}'"
    ))
}

fn refused(database: &dyn Database) {
    let error = database.try_open().map(drop).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Schema, "{error}");
    assert!(error.message.contains(LATER), "{error}");
    assert!(error.message.contains("upgrade the binary"), "{error}");
}

pub(crate) fn a_migration_that_only_adds_leaves_word_who_may_go_on(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    upgrade(&*forge.database, &[(BETWEEN, LATER), (LATER, OLD)]);
    assert_eq!(oldest(&*forge.database), [OLD]);
    // Who has it open works on, and who does not know the migration may open it.
    let first = forge.start_at("first", 1, at(1));
    let again = forge.database.open();
    assert_eq!(again.run(first).unwrap().unwrap().key, "first");
    let second = start("second", "flow", 1, None);
    again.writer().unwrap().start(&[second], at(2)).unwrap();
    assert!(again.newest_migration().unwrap().as_deref() == Some(LATER));
}

pub(crate) fn a_migration_that_does_more_turns_older_binaries_away(on: &dyn Backend) {
    let additive: [Additive; 2] = [&[(BETWEEN, OLD)], &[(LATER, BETWEEN)]];
    for (additive, left) in additive.into_iter().zip(["-", BETWEEN]) {
        let forge = Forge::on(on);
        upgrade(&*forge.database, additive);
        assert_eq!(oldest(&*forge.database), [left]);
        refused(&*forge.database);
    }
}

pub(crate) fn a_migration_of_a_later_binary_is_not_undone_by_this_one(on: &dyn Backend) {
    let forge = Forge::on(on);
    upgrade(&*forge.database, &[(LATER, OLD)]);
    let error = forge.store.revert_migration().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Schema, "{error}");
    assert!(error.message.contains(LATER), "{error}");
    assert!(
        error.message.contains("the binary that knows it"),
        "{error}"
    );
    assert_eq!(
        forge.store.newest_migration().unwrap().as_deref(),
        Some(LATER)
    );
}

pub(crate) fn each_migration_stands_once_it_is_applied_whatever_becomes_of_the_next(
    on: &dyn Backend,
) {
    let forge = Forge::on(on);
    let versions = || {
        let sql = "SELECT version AS text FROM chrono_forge_schema_migrations WHERE version > '2990' ORDER BY version";
        forge.database.texts(sql)
    };
    let next = "2999-01-02-000000_another";
    let up = "CREATE TABLE chrono_forge_another (n bigint);";
    let broken = format!("{up} INSERT INTO chrono_forge_missing VALUES (1)");
    let error = {
        let broken = later().with(next, &broken, "SELECT 1");
        let broken = broken.migrations();
        forge.database.upgrade(&broken, &[]).unwrap_err()
    };
    assert!(error.message.contains("chrono_forge_missing"), "{error}");
    assert_eq!(versions(), [LATER]);
    let mended = later().with(next, up, "DROP TABLE chrono_forge_another");
    forge.database.upgrade(&mended.migrations(), &[]).unwrap();
    assert_eq!(versions(), [LATER, "29990102000000"]);
}

pub(crate) fn a_schema_that_was_changed_is_told_with_its_versions(on: &dyn Backend) {
    let database = on.fresh();
    let told = Told::default();
    let later = later();
    told.hear(|| {
        drop(database.open());
        drop(database.open());
        database.upgrade(&later.migrations(), &[]).unwrap();
        database.upgrade(&later.migrations(), &[]).unwrap();
    });
    let newest =
        "SELECT max(version) AS text FROM chrono_forge_schema_migrations WHERE version < '2999'";
    let newest = &database.texts(newest)[0];
    let lines = told.lines();
    let lines: Vec<&String> = lines
        .iter()
        .filter(|it| it.contains("the schema was"))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let [created, brought] = [lines[0], lines[1]];
    assert!(
        created.starts_with("INFO message=the schema was created"),
        "{created}"
    );
    assert!(
        created.contains(&format!("version=\"{newest}\"")),
        "{created}"
    );
    assert!(
        brought.starts_with("INFO message=the schema was brought up to date"),
        "{brought}"
    );
    assert!(
        brought.contains(&format!("from=\"{newest}\" to=\"{LATER}\"")),
        "{brought}"
    );
}
