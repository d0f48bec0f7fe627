//! PostgreSQL: a schema of its own for each test, in the database that the environment names.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::FileBasedMigrations;
use jiff::Timestamp;

use super::{Backend, Database};
use crate::store::postgres::{PostgresOptions, PostgresStore, upgrade};
use crate::store::shared::schema::Additive;
use crate::store::{Store, StoreResult};

const VARIABLE: &str = "CHRONO_FORGE_TEST_POSTGRES_URL";

pub(crate) struct Postgres;

impl Backend for Postgres {
    fn missing(&self) -> Option<&'static str> {
        std::env::var(VARIABLE).is_err().then_some(
            "set CHRONO_FORGE_TEST_POSTGRES_URL to a database that tests may create schemas in",
        )
    }

    fn fresh(&self) -> Box<dyn Database> {
        Box::new(Schema::new())
    }
}

/// What a test without a server is told.
pub(crate) fn missing() -> Option<&'static str> {
    let remedy =
        "set CHRONO_FORGE_TEST_POSTGRES_URL to a database that tests may create schemas in";
    std::env::var(VARIABLE).is_err().then_some(remedy)
}

/// A schema that goes with the test.
pub(crate) struct Schema {
    name: String,
    url: String,
    /// Behind the store's back.
    raw: Mutex<PgConnection>,
}

impl Schema {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cf_conf_{}_{nth}", std::process::id());
        let url = std::env::var(VARIABLE).unwrap();
        let mut raw = PgConnection::establish(&url).unwrap();
        // What a test that was killed has left under this name is nobody's.
        raw.batch_execute(&format!(
            "SET client_min_messages TO warning; DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name};
            SET search_path TO {name}"
        ))
        .unwrap();
        let raw = Mutex::new(raw);
        Self { name, url, raw }
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        // Named, so that a test ends the connections of its own schema only.
        let url = format!("{}{separator}application_name={}", self.url, self.name);
        PostgresOptions {
            schema: self.name.clone(),
            // Many tests share the server's connections.
            readers: 2,
            ..PostgresOptions::parse(&url).unwrap()
        }
    }

    /// Where the server listens.
    pub(crate) fn server(&self) -> SocketAddr {
        let sql = "SELECT coalesce(host(inet_server_addr()), '127.0.0.1') || ' ' ||
            current_setting('port') AS text";
        let line = self.texts(sql).remove(0);
        let (host, port) = line.split_once(' ').unwrap();
        SocketAddr::new(host.parse().unwrap(), port.parse().unwrap())
    }

    pub(crate) fn raw<T>(&self, work: impl FnOnce(&mut PgConnection) -> T) -> T {
        work(&mut self.raw.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        let _ = self.raw(|conn| conn.batch_execute(&sql));
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

impl Database for Schema {
    fn try_open(&self) -> StoreResult<Arc<dyn Store>> {
        Ok(Arc::new(PostgresStore::open(self.options())?))
    }

    fn upgrade(&self, later: &FileBasedMigrations, additive: Additive) -> StoreResult<()> {
        upgrade(self.options(), later, additive)
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let lines: Vec<Line> = self.raw(|conn| diesel::sql_query(sql).load(conn).unwrap());
        lines.into_iter().map(|line| line.text).collect()
    }

    fn execute(&self, sql: &str) -> usize {
        self.raw(|conn| diesel::sql_query(sql).execute(conn).unwrap())
    }

    fn micros(&self, column: &str) -> String {
        format!("(extract(epoch FROM {column}) * 1000000)::bigint")
    }

    fn instant(&self, at: Timestamp) -> String {
        format!("TIMESTAMPTZ '{at}'")
    }
}
