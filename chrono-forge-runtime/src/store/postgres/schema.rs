//! The schema: applied or verified when a store is opened.
//!
//! Applied versions are kept in a table of our own, not in Diesel's: the database may belong to an
//! application whose own migrations Diesel tracks there.

mod change;
mod holders;
mod rights;
mod turns;

#[cfg(test)]
use std::sync::Arc;

#[cfg(test)]
use diesel::migration::MigrationSource;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use super::arrival;
use super::connection::{PATIENCE, Purpose, Session, Source};
use super::fitness;
use super::location::PostgresOptions;
use super::statement::Stmt;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::shared::schema::{self, Additive, Applied, Migrations};
use rights::Rights;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

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
    let purpose = match source.options.migrate {
        true => Purpose::Migrate,
        false => Purpose::Read,
    };
    let mut session = source.session(purpose);
    arrival::connect(&mut session, &source.options)?;
    let options = &source.options;
    if let Some(found) = look(&mut session, known, options)? {
        change::bring(&mut session, source, (known, additive), &found)?;
        look(&mut session, known, options)?;
    }
    Ok(())
}

/// A schema that lacks some migrations.
struct Found {
    done: Vec<Applied>,
    rights: Rights,
}

/// What is there, if something of these migrations lacks. A database that cannot be worked with, or
/// brought up to date by this role, is refused.
fn look(
    session: &mut Session,
    known: &Migrations<Pg>,
    options: &PostgresOptions,
) -> StoreResult<Option<Found>> {
    let verdict = turns::in_turn(session, "to be looked at", |session| {
        session.transaction("open", PATIENCE, true, |conn| judge(conn, known, options))
    })?;
    verdict.map_err(|message| StoreError::new("open", StoreErrorKind::Schema, message))
}

fn judge(
    conn: &mut PgConnection,
    known: &Migrations<Pg>,
    options: &PostgresOptions,
) -> QueryResult<Result<Option<Found>, String>> {
    if let Some(refusal) = fitness::encoding(conn)? {
        return Ok(Err(refusal));
    }
    let done = applied(conn)?;
    let Some(lacks) = schema::missing(known, &done).next() else {
        let refusal = schema::refusal(known, &done, options.migrate);
        let refusal = refusal.map_or_else(|| fitness::tables(conn), |refusal| Ok(Some(refusal)))?;
        return Ok(refusal.map_or(Ok(None), Err));
    };
    let rights = rights::find(conn, &options.schema)?;
    let lacks = schema::version(lacks);
    let of_role = rights.refusal(&options.schema, &lacks, options.migrate);
    let of_versions = schema::refusal(known, &done, options.migrate);
    // Of a binary that is too old no role helps; where nothing may be changed, it is told first
    // what is not there.
    let refusal = match options.migrate {
        true => of_versions.or(of_role),
        false => of_role.or(of_versions),
    };
    Ok(refusal.map_or(Ok(Some(Found { done, rights })), Err))
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
        lender: None,
        servers: Arc::default(),
    };
    let mut known = schema::migrations(&MIGRATIONS)?;
    known.extend(schema::migrations(later)?);
    ensure_these(&source, &known, additive)
}
