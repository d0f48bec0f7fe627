//! The schema: applied or verified when a store is opened.
//!
//! Applied versions are kept in a table of our own, not in Diesel's: the database may belong to an
//! application whose own migrations Diesel tracks there.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::migration::Migration;
#[cfg(test)]
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::bind::Bind;
use super::connection::immediate;
use super::fault;
use super::statement::Stmt;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::shared::schema::{self, Additive, Applied, Migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS chrono_forge_schema_migrations (
    version TEXT PRIMARY KEY,
    run_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT, WITHOUT ROWID";

const FOUND_INDEXES: &str = "SELECT name FROM sqlite_master WHERE type = 'index'";

/// Columns of the table of versions; none when there is no such table.
const COLUMNS: &str = "SELECT name FROM pragma_table_info('chrono_forge_schema_migrations')";

/// Brings the schema up to date, or checks that it is when `migrate` is off.
///
/// Either way in a transaction that holds the write lock: it shows that the file can be written,
/// and of two processes that open a new file at once one migrates and the other finds it done. Each
/// migration has its own, so that others write between two of them.
pub(super) fn ensure(
    conn: &mut SqliteConnection,
    migrate: bool,
    patience: Duration,
) -> StoreResult<()> {
    let known = schema::migrations(&MIGRATIONS)?;
    ensure_these(conn, (&known, schema::ADDITIVE), migrate, patience)
}

/// The same for these migrations, of which some only add.
fn ensure_these(
    conn: &mut SqliteConnection,
    (known, additive): (&Migrations<Sqlite>, Additive),
    migrate: bool,
    patience: Duration,
) -> StoreResult<()> {
    let begun = Instant::now();
    let mut found = None;
    loop {
        let step = immediate(conn, patience, |conn| step(conn, known, additive, migrate));
        let verdict = step.map_err(|error| fault::statement("open", &error))?;
        let Step { before, after } =
            verdict.map_err(|message| StoreError::new("open", StoreErrorKind::Schema, message))?;
        let from = &*found.get_or_insert(before);
        if schema::missing(known, &after).next().is_some() {
            continue;
        }
        schema::tell(from, &after, None, begun.elapsed());
        return Ok(());
    }
}

/// The versions of a file before and after a migration.
struct Step {
    before: Vec<Applied>,
    after: Vec<Applied>,
}

/// Applies the next migration, and to a new file all of them; answers what was there before and is
/// now, or why this file cannot be used.
fn step(
    conn: &mut SqliteConnection,
    known: &Migrations<Sqlite>,
    additive: Additive,
    migrate: bool,
) -> QueryResult<Result<Step, String>> {
    let before = applied(conn)?;
    if let Some(refusal) = schema::refusal(known, &before, migrate) {
        return Ok(Err(refusal));
    }
    let at_once = if before.is_empty() { usize::MAX } else { 1 };
    for migration in schema::missing(known, &before).take(at_once) {
        run(conn, migration, additive)?;
    }
    let after = applied(conn)?;
    if schema::missing(known, &after).next().is_none() {
        let found: Vec<(String,)> = Stmt::<(Text,)>::new(FOUND_INDEXES, &[]).load(conn)?;
        let is_missing = |name: &&&str| !found.iter().any(|(found,)| found == **name);
        let missing: Vec<&str> = schema::INDEXES.iter().filter(is_missing).copied().collect();
        if let Some(refusal) = schema::missing_indexes(&missing) {
            return Ok(Err(refusal));
        }
    }
    Ok(Ok(Step { before, after }))
}

/// The newest version that this database has.
pub(super) fn newest(conn: &mut SqliteConnection) -> QueryResult<Option<String>> {
    let newest = applied(conn)?.pop();
    Ok(newest.map(|newest| newest.version))
}

/// Undoes the newest migration; answers its version, or `None` when there is none to undo.
pub(super) fn revert(
    conn: &mut SqliteConnection,
    patience: Duration,
) -> StoreResult<Option<String>> {
    let known: Migrations<Sqlite> = schema::migrations(&MIGRATIONS)?;
    let undone = immediate(conn, patience, |conn| {
        let Some(Applied { version: last, .. }) = applied(conn)?.pop() else {
            return Ok(Ok(None));
        };
        let Some(migration) = known.iter().find(|m| schema::version(&***m) == last) else {
            return Ok(Err(schema::not_to_undo(&last)));
        };
        migration.revert(conn).map_err(schema::unboxed)?;
        Stmt::<()>::new(
            "DELETE FROM chrono_forge_schema_migrations WHERE version = ?",
            &[(&last).into()],
        )
        .execute(conn)?;
        Ok(Ok(Some(last)))
    });
    undone
        .map_err(|error| fault::statement("revert", &error))?
        .map_err(|message| StoreError::new("revert", StoreErrorKind::Schema, message))
}

fn run(
    conn: &mut SqliteConnection,
    migration: &dyn Migration<Sqlite>,
    additive: Additive,
) -> QueryResult<()> {
    conn.batch_execute(VERSIONS)?;
    migration.run(conn).map_err(schema::unboxed)?;
    let (note, values) = schema::note(migration, additive);
    let binds: Vec<Bind<'_>> = values.iter().map(Into::into).collect();
    Stmt::<()>::new(note, &binds).execute(conn).map(drop)
}

/// Versions that this database has, oldest first.
fn applied(conn: &mut SqliteConnection) -> QueryResult<Vec<Applied>> {
    let columns: Vec<(String,)> = Stmt::<(Text,)>::new(COLUMNS, &[]).load(conn)?;
    let Some(versions) = schema::versions(&columns) else {
        return Ok(Vec::new());
    };
    let rows = Stmt::<(Text, Nullable<Text>)>::new(versions, &[]).load(conn)?;
    Ok(schema::applied(rows))
}

/// Brings the schema up to date as a later binary does, which has these migrations, too.
#[cfg(test)]
pub(in crate::store) fn upgrade(
    conn: &mut SqliteConnection,
    later: &impl MigrationSource<Sqlite>,
    additive: Additive,
) -> StoreResult<()> {
    let mut known = schema::migrations(&MIGRATIONS)?;
    known.extend(schema::migrations(later)?);
    ensure_these(conn, (&known, additive), true, Duration::from_secs(5))
}
