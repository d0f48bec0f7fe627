//! A session as the store's writers have it, and its prepared statements.

use anyhow::{Context, Result};
use diesel::connection::SimpleConnection;
use diesel::data_types::PgTimestamp;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};

use crate::floor::server;

/// The migrations of the shipped schema, but for those that speak of the table of versions.
const SCHEMA: &str = concat!(
    include_str!(
        "../../../../migrations/postgres/2026-11-21-000001_create_runs_records_errors_workers/up.sql"
    ),
    include_str!("../../../../migrations/postgres/2026-11-22-000002_index_blocked_children/up.sql"),
    include_str!("../../../../migrations/postgres/2026-11-22-000003_audit_branches/up.sql"),
    include_str!(
        "../../../../migrations/postgres/2026-11-22-000004_name_what_workers_serve/up.sql"
    ),
    include_str!("../../../../migrations/postgres/2026-11-22-000005_note_imports/up.sql"),
    include_str!("../../../../migrations/postgres/2026-11-30-000006_leases_of_workers/up.sql"),
    include_str!("../../../../migrations/postgres/2026-11-30-000007_incarnations/up.sql"),
    include_str!(
        "../../../../migrations/postgres/2026-12-01-000009_children_belong_to_runs/up.sql"
    ),
    include_str!("../../../../migrations/postgres/2026-12-01-000010_entries_of_contexts/up.sql"),
    include_str!(
        "../../../../migrations/postgres/2026-12-02-000011_applications_of_workflows/up.sql"
    ),
);

/// What the store tells its writers.
const PINNED: &str = "
SET jit TO off; SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off;
SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET enable_bitmapscan TO off;";

/// Microseconds from 1970 to 2000, where PostgreSQL's instants begin.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// One connection that writes.
pub struct Session {
    conn: PgConnection,
    pub worker: i64,
}

impl Session {
    /// Creates the schema, with one worker registered.
    pub fn create(url: &str) -> Result<Self> {
        let schema = server::schema(url)?;
        let mut conn = connect(url)?;
        conn.batch_execute(&format!("CREATE SCHEMA {schema}; BEGIN; {SCHEMA} COMMIT;"))?;
        let mut session = Self { conn, worker: 1 };
        let (pid, at) = (i64::from(std::process::id()), now());
        session.execute(
            "INSERT INTO chrono_forge_workers (id, name, host, pid, started_at, heartbeat_at)
            VALUES (1, 'worker', 'host', ?, ?, ?)",
            &[Value::Int(pid), Value::Instant(at), Value::Instant(at)],
        )?;
        Ok(session)
    }

    /// One more on a schema that is there.
    pub fn join(url: &str) -> Result<Self> {
        Ok(Self {
            conn: connect(url)?,
            worker: 1,
        })
    }

    /// Runs a statement; each text is prepared once.
    pub fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<usize> {
        let statement = Prepared { sql, values };
        Ok(self.conn.execute_returning_count(&statement)?)
    }

    /// The only number of the only row that a statement answers.
    pub fn number(&mut self, sql: &'static str, values: &[Value]) -> Result<i64> {
        let rows: Vec<i64> = Prepared { sql, values }.load(&mut self.conn)?;
        rows.first().copied().context("a row")
    }

    /// Several statements in one transaction, as the store sends them.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.conn.batch_execute("BEGIN")?;
        let done = work(self)?;
        self.conn.batch_execute("COMMIT")?;
        Ok(done)
    }

    /// What a worker leaves that stops in good order.
    pub fn retire(&mut self) -> Result<()> {
        let worker = Value::Int(self.worker);
        self.execute(
            "DELETE FROM chrono_forge_claims WHERE worker_id = ?",
            &[worker],
        )?;
        let values = [Value::Instant(now()), Value::Int(self.worker)];
        self.execute(
            "UPDATE chrono_forge_workers SET stopped_at = ? WHERE id = ?",
            &values,
        )?;
        Ok(())
    }
}

fn connect(url: &str) -> Result<PgConnection> {
    let mut conn = server::connect(url)?;
    let schema = server::schema(url)?;
    conn.batch_execute(&format!("SET search_path TO {schema}; {PINNED}"))?;
    Ok(conn)
}

/// A bound value.
pub enum Value {
    Int(i64),
    Text(String),
    Instant(PgTimestamp),
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// The present instant as the server stores it.
pub fn now() -> PgTimestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    PgTimestamp(since.as_micros() as i64 - EPOCH_MICROS)
}

/// A text with a value at each `?`, cached by its text.
struct Prepared<'a> {
    sql: &'static str,
    values: &'a [Value],
}

impl QueryId for Prepared<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Prepared<'_> {
    type SqlType = BigInt;
}

impl RunQueryDsl<PgConnection> for Prepared<'_> {}

impl QueryFragment<Pg> for Prepared<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut values = self.values.iter();
        for (place, piece) in self.sql.split('?').enumerate() {
            if place > 0 {
                match values.next() {
                    Some(Value::Int(value)) => out.push_bind_param::<BigInt, _>(value)?,
                    Some(Value::Text(value)) => out.push_bind_param::<Text, _>(value)?,
                    Some(Value::Instant(value)) => out.push_bind_param::<Timestamptz, _>(value)?,
                    Some(Value::Ints(values)) => out.push_bind_param::<Array<BigInt>, _>(values)?,
                    Some(Value::Texts(values)) => out.push_bind_param::<Array<Text>, _>(values)?,
                    None => return Err(diesel::result::Error::NotFound),
                }
            }
            out.push_sql(piece);
        }
        Ok(())
    }
}
