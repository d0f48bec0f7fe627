//! The schema: applied or verified when a store is opened.
//!
//! Applied versions are kept in a table of our own, not in Diesel's: the database may belong to an
//! application whose own migrations Diesel tracks there.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::connection::immediate;
use super::fault;
use super::statement::Stmt;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS chrono_forge_schema_migrations (
    version TEXT PRIMARY KEY,
    run_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT, WITHOUT ROWID";

type Migrations = Vec<Box<dyn Migration<Sqlite>>>;

/// Brings the schema up to date, or checks that it is when `migrate` is off.
///
/// Either way one transaction that holds the write lock: it shows that the file can be written, and
/// of two processes that open a new file at once one migrates and the other finds it done.
pub(super) fn ensure(
    conn: &mut SqliteConnection,
    migrate: bool,
    patience: Duration,
) -> StoreResult<()> {
    let known = migrations()?;
    let verdict = immediate(conn, patience, |conn| {
        let applied = applied(conn)?;
        if let Some(refusal) = refusal(&known, &applied, migrate) {
            return Ok(Err(refusal));
        }
        for migration in &known {
            if !applied.contains(&version(&**migration)) {
                run(conn, &**migration)?;
            }
        }
        Ok(Ok(()))
    });
    verdict
        .map_err(|error| fault::statement("open", &error))?
        .map_err(|message| StoreError::new("open", StoreErrorKind::Schema, message))
}

/// Undoes the newest migration; answers its version, or `None` when there is none to undo.
pub(super) fn revert(
    conn: &mut SqliteConnection,
    patience: Duration,
) -> StoreResult<Option<String>> {
    let known = migrations()?;
    immediate(conn, patience, |conn| {
        let Some(last) = applied(conn)?.pop() else {
            return Ok(None);
        };
        for migration in known.iter().filter(|m| version(&***m) == last) {
            migration.revert(conn).map_err(unboxed)?;
            Stmt::<()>::new(
                "DELETE FROM chrono_forge_schema_migrations WHERE version = ?",
                &[(&last).into()],
            )
            .execute(conn)?;
        }
        Ok(Some(last))
    })
    .map_err(|error| fault::statement("revert", &error))
}

fn refusal(known: &Migrations, applied: &[String], migrate: bool) -> Option<String> {
    let known: Vec<String> = known.iter().map(|m| version(&**m)).collect();
    if let Some(newer) = applied.iter().find(|version| !known.contains(version)) {
        return Some(format!(
            "the database has schema version {newer}, which is newer than this binary knows: \
             upgrade the binary"
        ));
    }
    let missing = known.iter().find(|version| !applied.contains(version))?;
    (!migrate).then(|| {
        format!(
            "the database lacks schema version {missing} and this process may not migrate it: \
             open it once with migrate"
        )
    })
}

fn run(conn: &mut SqliteConnection, migration: &dyn Migration<Sqlite>) -> QueryResult<()> {
    conn.batch_execute(VERSIONS)?;
    migration.run(conn).map_err(unboxed)?;
    let version = version(migration);
    Stmt::<()>::new(
        "INSERT INTO chrono_forge_schema_migrations (version) VALUES (?)",
        &[(&version).into()],
    )
    .execute(conn)?;
    Ok(())
}

/// Versions that this database has, oldest first.
fn applied(conn: &mut SqliteConnection) -> QueryResult<Vec<String>> {
    let tables: Vec<(i64,)> = Stmt::<(BigInt,)>::new(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'chrono_forge_schema_migrations'",
        &[],
    )
    .load(conn)?;
    if tables == [(0,)] {
        return Ok(Vec::new());
    }
    let versions: Vec<(String,)> = Stmt::<(Text,)>::new(
        "SELECT version FROM chrono_forge_schema_migrations ORDER BY version",
        &[],
    )
    .load(conn)?;
    Ok(versions.into_iter().map(|(version,)| version).collect())
}

/// The embedded migrations, oldest first.
fn migrations() -> StoreResult<Migrations> {
    let mut all: Migrations = MIGRATIONS
        .migrations()
        .map_err(|error| StoreError::new("open", StoreErrorKind::Schema, error))?;
    all.sort_by_key(|migration| version(&**migration));
    Ok(all)
}

fn version(migration: &dyn Migration<Sqlite>) -> String {
    migration.name().version().to_string()
}

/// A migration's error as the database's, which it quotes: so that a busy or a full database stays
/// recognizable.
fn unboxed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(error.to_string()))
}
