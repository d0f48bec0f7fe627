//! Binaries of two releases on one database: what a migration leaves to those that do not know it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel_migrations::FileBasedMigrations;

use super::backend::{Backend, Database};
use super::fixture::*;
use crate::error::StoreErrorKind;
use crate::store::shared::schema::Additive;

/// The migration that only the later binary knows.
const LATER: &str = "29990101000000";

/// One that comes before it, and which this binary does not know either.
const BETWEEN: &str = "29980101000000";

/// The oldest version whose binaries it admits.
const OLD: &str = "20261201000009";

/// That migration, in a folder that goes with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chrono-forge-releases-{}-{nth}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let later = folder.join("2999-01-01-000000_a_table");
        std::fs::create_dir_all(&later).unwrap();
        let up = "CREATE TABLE chrono_forge_later (n bigint)";
        std::fs::write(later.join("up.sql"), up).unwrap();
        let down = "DROP TABLE chrono_forge_later";
        std::fs::write(later.join("down.sql"), down).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Opens it as a later binary does.
fn upgrade(database: &dyn Database, additive: Additive) {
    let folder = Folder::new();
    let later = FileBasedMigrations::from_path(&folder.0).unwrap();
    database.upgrade(&later, additive).unwrap();
    // A second process of it finds everything done.
    database.upgrade(&later, additive).unwrap();
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
