//! A session beside the store's own, to hold what they wait for.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::record::RunId;
use crate::store::conformance::backend::postgres::Schema;
use crate::store::conformance::fixture::Forge;
use crate::store::postgres::PostgresOptions;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Side {
    conn: PgConnection,
    watch: PgConnection,
    /// What the sessions of this test are called.
    name: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Side {
    /// An empty database, and a session of its own in it.
    pub(super) fn new() -> (Forge, Self) {
        let schema = Schema::new();
        let options = schema.options();
        let forge = Forge::of(Box::new(schema));
        (forge, Self::of(&options))
    }

    pub(super) fn of(options: &PostgresOptions) -> Self {
        let open = || {
            let mut conn = PgConnection::establish(&options.url).unwrap();
            let path = format!("SET search_path TO {}", options.schema);
            conn.batch_execute(&path).unwrap();
            conn
        };
        Self {
            conn: open(),
            watch: open(),
            name: options.schema.clone(),
        }
    }

    pub(super) fn run(&mut self, sql: &str) {
        self.conn.batch_execute(sql).unwrap();
    }

    /// Locks this run's row, as its own commits do, until `COMMIT`.
    pub(super) fn hold_run(&mut self, run: RunId) {
        self.run(&format!(
            "BEGIN; SELECT id FROM chrono_forge_workflows WHERE id = {run} FOR NO KEY UPDATE"
        ));
    }

    /// The only value of this query.
    pub(super) fn count(&mut self, sql: &str) -> i64 {
        let sql = format!("SELECT ({sql})::bigint AS count");
        let counts: Vec<Count> = diesel::sql_query(sql).load(&mut self.watch).unwrap();
        counts[0].count
    }

    /// Waits until one of the test's sessions waits for a lock.
    pub(super) fn until_somebody_waits(&mut self) {
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = '{}' AND wait_event_type = 'Lock'",
            self.name
        );
        self.until(&waiting);
    }

    /// Waits until this query answers another number than 0.
    pub(super) fn until(&mut self, sql: &str) {
        let begun = Instant::now();
        while self.count(sql) == 0 {
            assert!(begun.elapsed() < PATIENCE, "{sql}");
            std::thread::yield_now();
        }
    }

    /// Ends the session that listens; answers whether there was one.
    pub(super) fn end_ear(&mut self) -> bool {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = '{}' AND query LIKE 'LISTEN%'",
            self.name
        );
        self.count(&sql) > 0
    }
}
