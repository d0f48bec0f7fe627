//! How a schema is brought up to date while others work on it: one transaction a migration, none of
//! which waits for a lock for long, since whoever comes behind such a wait has to wait, too.

use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::migration::Migration;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Bool, Text};

use super::super::bind::Bind;
use super::super::connection::{PATIENCE, Session, Source};
use super::super::fault;
use super::super::statement::Stmt;
use super::{Found, applied, turns};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::shared::schema::{self, Additive, Applied, Migrations};

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS chrono_forge_schema_migrations (
    version text PRIMARY KEY,
    run_at timestamptz NOT NULL DEFAULT now()
)";

/// What a build that was cut off has left. One that somebody else is at is waited for, which ends
/// with the limit for locks.
const HALF_BUILT: &str = "
SELECT quote_ident(c.relname) FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = current_schema())
    AND NOT i.indisvalid AND starts_with(c.relname, 'chrono_forge_') AND c.relname !~ '_cc(new|old)[0-9]*$'";

/// How often an index is tried that others build or drop at the same time.
const RACES_MAX: u32 = 20;

/// Applies what lacks, oldest first, and says so.
pub(super) fn bring(
    session: &mut Session,
    source: &Source,
    (known, additive): (&Migrations<Pg>, Additive),
    found: &Found,
) -> StoreResult<()> {
    let begun = Instant::now();
    let schema_name = &*source.options.schema;
    found.rights.warn_of_others(schema_name);
    turns::in_turn(session, "to be created", |session| {
        prepare(session, schema_name)
    })?;
    let mut done: Option<Vec<Applied>> = None;
    loop {
        let next = schema::missing(known, done.as_ref().unwrap_or(&found.done)).next();
        let Some(next) = next else { break };
        let what = format!("to be brought to version {}", schema::version(next));
        let is_transaction = next.metadata().run_in_transaction();
        done = Some(turns::in_turn(
            session,
            &what,
            |session| match is_transaction {
                true => step(session, known, additive),
                false => beside(session, source, next, additive),
            },
        )?);
    }
    if let Some(done) = &done {
        let place = found.rights.place(schema_name);
        schema::tell(&found.done, done, Some(&place), begun.elapsed());
    }
    Ok(())
}

/// Makes the place for the versions. Two processes may try to at once: who loses is told of a
/// duplicate, and begins again.
fn prepare(session: &mut Session, schema: &str) -> StoreResult<()> {
    session.transaction("open", PATIENCE, true, |conn| {
        let found: Vec<(bool,)> = Stmt::<(Bool,)>::new(
            "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = ?)",
            &[schema.into()],
        )
        .load(conn)?;
        if found != [(true,)] {
            conn.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""))
                .map_err(begin_again)?;
        }
        conn.batch_execute(VERSIONS).map_err(begin_again)
    })
}

/// Applies the next migration that runs in a transaction, and of a database that has none, which
/// nobody reads yet, all of them; answers what is there then. Of two processes at it one finds it
/// done.
fn step(
    session: &mut Session,
    known: &Migrations<Pg>,
    additive: Additive,
) -> StoreResult<Vec<Applied>> {
    session.transaction("open", PATIENCE, true, |conn| {
        conn.batch_execute("LOCK TABLE chrono_forge_schema_migrations IN EXCLUSIVE MODE")?;
        let done = applied(conn)?;
        let at_once = if done.is_empty() { usize::MAX } else { 1 };
        let next = schema::missing(known, &done)
            .take_while(|migration| migration.metadata().run_in_transaction());
        for migration in next.take(at_once) {
            migration.run(conn).map_err(schema::unboxed)?;
            note(conn, migration, additive)?;
        }
        applied(conn)
    })
}

/// Applies a migration that runs beside the work of others, outside of any transaction: it builds
/// or drops one index `CONCURRENTLY`, and does nothing where that is done.
fn beside(
    session: &mut Session,
    source: &Source,
    migration: &dyn Migration<Pg>,
    additive: Additive,
) -> StoreResult<Vec<Applied>> {
    if source.is_shared() {
        let version = schema::version(migration);
        let message = format!(
            "schema version {version} is made outside of a transaction, which a pooler in transaction mode does not carry: \
             open it once with an address that leads to the server itself"
        );
        return Err(StoreError::new("open", StoreErrorKind::Schema, message));
    }
    let mut tries = 0;
    let built = loop {
        let built = build(session.connect()?, migration);
        // What comes next waits for locks no longer than it should.
        session.disconnect();
        tries += 1;
        if tries == RACES_MAX || !built.as_ref().is_err_and(fault::is_race) {
            break built;
        }
    };
    built.map_err(|error| fault::statement("open", &error))?;
    session.transaction("open", PATIENCE, true, |conn| {
        if !schema::has(&applied(conn)?, &schema::version(migration)) {
            // Who built it at the same time may note it first.
            note(conn, migration, additive).map_err(begin_again)?;
        }
        applied(conn)
    })
}

fn build(conn: &mut PgConnection, migration: &dyn Migration<Pg>) -> QueryResult<()> {
    let half_built: Vec<(String,)> = Stmt::<(Text,)>::new(HALF_BUILT, &[]).load(conn)?;
    for (index,) in half_built {
        conn.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {index}"))?;
    }
    // It waits for all that began before it, and nobody waits for it.
    conn.batch_execute("SET lock_timeout TO 0")?;
    migration.run(conn).map_err(schema::unboxed)
}

fn note(
    conn: &mut PgConnection,
    migration: &dyn Migration<Pg>,
    additive: Additive,
) -> QueryResult<()> {
    let (note, values) = schema::note(migration, additive);
    let binds: Vec<Bind<'_>> = values.iter().map(Into::into).collect();
    Stmt::<()>::new(note, &binds).execute(conn).map(drop)
}

/// Who loses the race for a name or a version sees it once it begins again.
fn begin_again(error: Error) -> Error {
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, info)
        }
        error => error,
    }
}
