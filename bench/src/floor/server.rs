//! The server of a PostgreSQL round: schemas that come and go, and what the work cost there.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};

/// Schemas of rounds begin with this.
const PREFIX: &str = "chrono_forge_bench_";

/// A URL with a schema that nobody else uses, and sessions that can be told from others.
pub fn new_schema(url: &str) -> Result<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("{PREFIX}{}_{nth}", std::process::id());
    let joint = if url.contains('?') { '&' } else { '?' };
    // A checkpoint in the middle of a round would write every page it touches anew.
    connect(url)?.batch_execute("CHECKPOINT")?;
    Ok(format!(
        "{url}{joint}schema={schema}&application_name={schema}"
    ))
}

pub fn drop_schema(url: &str) -> Result<()> {
    let schema = schema(url)?;
    connect(url)?.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))?;
    Ok(())
}

/// Tables and indexes.
pub fn schema_bytes(url: &str) -> Result<u64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        bytes: i64,
    }
    let row: Row = diesel::sql_query(
        "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind = 'r'",
    )
    .bind::<diesel::sql_types::Text, _>(schema(url)?)
    .get_result(&mut connect(url)?)?;
    Ok(u64::try_from(row.bytes)?)
}

/// The schema that a URL of ours names.
pub fn schema(url: &str) -> Result<&str> {
    let (_, rest) = url.split_once("schema=").context("a URL with a schema")?;
    Ok(rest.split('&').next().unwrap_or(rest))
}

/// A connection without our own parameters, which libpq does not know.
pub fn connect(url: &str) -> Result<PgConnection> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let ours = ["schema", "writers", "notify", "pooler"];
    let left: Vec<&str> = query
        .split('&')
        .filter(|given| !ours.contains(&given.split('=').next().unwrap_or_default()))
        .collect();
    let url = format!("{address}?{}", left.join("&"));
    PgConnection::establish(&url).with_context(|| address.to_owned())
}

/// The same, with the schema's tables at hand.
pub fn connect_in_schema(url: &str) -> Result<PgConnection> {
    let mut conn = connect(url)?;
    conn.batch_execute(&format!("SET search_path TO {}", schema(url)?))?;
    Ok(conn)
}

/// The only value of this query, which is called `number`.
pub fn number(conn: &mut PgConnection, sql: &str) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let row: Row = diesel::sql_query(sql).get_result(conn)?;
    Ok(row.number)
}

/// What the server has done so far.
#[derive(Clone, Copy, Debug)]
pub struct Toll {
    wal_bytes: i64,
    /// Of the sessions of this round; where the server is on this machine.
    cpu_seconds: Option<f64>,
}

impl Toll {
    /// So far.
    pub fn now(url: &str) -> Result<Self> {
        #[derive(QueryableByName)]
        struct Session {
            #[diesel(sql_type = Integer)]
            pid: i32,
        }
        let mut conn = connect(url)?;
        let wal = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint AS number";
        let wal_bytes = number(&mut conn, wal)?;
        let sessions: Vec<Session> = diesel::sql_query(
            "SELECT pid FROM pg_stat_activity
            WHERE application_name = $1 AND pid <> pg_backend_pid()",
        )
        .bind::<diesel::sql_types::Text, _>(schema(url)?)
        .load(&mut conn)?;
        let times = sessions.iter().map(|session| cpu_seconds_of(session.pid));
        Ok(Self {
            wal_bytes,
            cpu_seconds: times.sum(),
        })
    }

    /// Bytes of write-ahead log and processor seconds since then. Sessions that ended meanwhile are missing.
    pub fn since(self, before: Self) -> (u64, Option<f64>) {
        let wal = u64::try_from(self.wal_bytes - before.wal_bytes).unwrap_or(0);
        let cpu = self.cpu_seconds.zip(before.cpu_seconds);
        (wal, cpu.map(|(now, before)| now - before))
    }
}

/// Processor time of a process of this machine; Linux only.
fn cpu_seconds_of(pid: i32) -> Option<f64> {
    /// What Linux counts in, whatever the kernel's own ticks are.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}
