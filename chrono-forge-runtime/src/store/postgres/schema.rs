//! The schema: applied or verified when a store is opened.
//!
//! Applied versions are kept in a table of our own, not in Diesel's: the database may belong to an
//! application whose own migrations Diesel tracks there.

#[cfg(test)]
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::migration::Migration;
#[cfg(test)]
use diesel::migration::MigrationSource;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Bool, Nullable, Text};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::bind::Bind;
use super::connection::{PATIENCE, Purpose, Source};
use super::fitness;
#[cfg(test)]
use super::location::PostgresOptions;
use super::statement::Stmt;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::shared::schema::{self, Additive, Applied, Migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS chrono_forge_schema_migrations (
    version text PRIMARY KEY,
    run_at timestamptz NOT NULL DEFAULT now()
)";

/// Columns of the table of versions; none when there is no such table.
const COLUMNS: &str = "
SELECT a.attname::text FROM pg_attribute AS a
WHERE a.attrelid = to_regclass('chrono_forge_schema_migrations') AND a.attnum > 0 AND NOT a.attisdropped";

/// Brings the schema up to date, or checks that it is when `migrate` is off; then nothing is created, and no
/// right to do so is needed.
pub(super) fn ensure(source: &Source) -> StoreResult<()> {
    let known = schema::migrations(&MIGRATIONS)?;
    ensure_these(source, &known, schema::ADDITIVE)
}

/// The same for these migrations, of which some only add.
fn ensure_these(source: &Source, known: &Migrations<Pg>, additive: Additive) -> StoreResult<()> {
    let options = &source.options;
    let purpose = match options.migrate {
        true => Purpose::Migrate,
        false => Purpose::Read,
    };
    let mut session = source.session(purpose);
    session.connect()?;
    let verdict = session.transaction("open", PATIENCE, true, |conn| {
        if let Some(refusal) = fitness::encoding(conn)? {
            return Ok(Err(refusal));
        }
        let done = applied(conn)?;
        if let Some(refusal) = schema::refusal(known, &done, options.migrate) {
            return Ok(Err(refusal));
        }
        if schema::missing(known, &done).next().is_none() {
            return fitness::tables(conn).map(fit);
        }
        prepare(conn, &options.schema)?;
        // Another process may have been at it while this one waited for the lock.
        let done = applied(conn)?;
        for migration in schema::missing(known, &done) {
            run(conn, migration, additive)?;
        }
        fitness::tables(conn).map(fit)
    })?;
    verdict.map_err(|message| StoreError::new("open", StoreErrorKind::Schema, message))
}

fn fit(refusal: Option<String>) -> Result<(), String> {
    refusal.map_or(Ok(()), Err)
}

/// The newest version that this database has.
pub(super) fn newest(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    let newest = applied(conn)?.pop();
    Ok(newest.map(|newest| newest.version))
}

/// Undoes the newest migration; answers its version, or `None` when there is none to undo.
pub(super) fn revert(source: &Source) -> StoreResult<Option<String>> {
    let known: Migrations<Pg> = schema::migrations(&MIGRATIONS)?;
    let mut session = source.session(Purpose::Migrate);
    let undone = session.transaction("revert", PATIENCE, false, |conn| {
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
    })?;
    undone.map_err(|message| StoreError::new("revert", StoreErrorKind::Schema, message))
}

/// Makes the place for the versions and locks it, so that of two processes that open a new database at once one
/// migrates and the other finds it done. Both may try to create it: who loses is told of a duplicate, and begins again.
fn prepare(conn: &mut PgConnection, schema: &str) -> QueryResult<()> {
    let found: Vec<(bool,)> = Stmt::<(Bool,)>::new(
        "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = ?)",
        &[schema.into()],
    )
    .load(conn)?;
    if found != [(true,)] {
        conn.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""))
            .map_err(begin_again)?;
    }
    conn.batch_execute(VERSIONS).map_err(begin_again)?;
    conn.batch_execute("LOCK TABLE chrono_forge_schema_migrations IN EXCLUSIVE MODE")
}

/// Who loses the race for a name sees it once it begins again.
fn begin_again(error: Error) -> Error {
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, info)
        }
        error => error,
    }
}

fn run(
    conn: &mut PgConnection,
    migration: &dyn Migration<Pg>,
    additive: Additive,
) -> QueryResult<()> {
    migration.run(conn).map_err(schema::unboxed)?;
    let (note, values) = schema::note(migration, additive);
    let binds: Vec<Bind<'_>> = values.iter().map(Into::into).collect();
    Stmt::<()>::new(note, &binds).execute(conn).map(drop)
}

/// Versions that this database has, oldest first.
fn applied(conn: &mut PgConnection) -> QueryResult<Vec<Applied>> {
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
    options: PostgresOptions,
    later: &impl MigrationSource<Pg>,
    additive: Additive,
) -> StoreResult<()> {
    let source = Source {
        options: Arc::new(options),
        pool: None,
        servers: Arc::default(),
    };
    let mut known = schema::migrations(&MIGRATIONS)?;
    known.extend(schema::migrations(later)?);
    ensure_these(&source, &known, additive)
}
