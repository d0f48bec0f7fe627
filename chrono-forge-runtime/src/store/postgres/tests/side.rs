//! A session beside the store's own, to hold what they wait for.

use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::record::RunId;
use crate::store::conformance::backend::postgres::Schema;
use crate::store::conformance::fixture::Forge;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::{Store, Writer};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Side {
    conn: PgConnection,
    watch: PgConnection,
    /// How the test's own sessions are opened.
    options: PostgresOptions,
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
            options: options.clone(),
        }
    }

    /// A writer of another process that waits for locks as long as it takes.
    pub(super) fn patient_writer(&self) -> Box<dyn Writer> {
        let options = PostgresOptions {
            lease: PATIENCE * 10,
            ..self.options.clone()
        };
        PostgresStore::open(options).unwrap().writer().unwrap()
    }

    /// The session itself.
    pub(super) fn conn(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    pub(super) fn run(&mut self, sql: &str) {
        self.try_run(sql).unwrap();
    }

    pub(super) fn try_run(&mut self, sql: &str) -> QueryResult<()> {
        self.conn.batch_execute(sql)
    }

    /// How the test's own sessions are opened.
    pub(super) fn options(&self) -> &PostgresOptions {
        &self.options
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
        let waiting = self.waiting();
        self.until(&waiting);
    }

    fn waiting(&self) -> String {
        format!(
            "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = '{}' AND wait_event_type = 'Lock'",
            self.options.schema
        )
    }

    /// Waits until the session at work in this thread waits for a lock.
    pub(super) fn until_it_waits<T>(&mut self, thread: &ScopedJoinHandle<'_, T>) {
        let waiting = self.waiting();
        self.until_or(&waiting, || {
            assert!(!thread.is_finished(), "it waited for nothing");
        });
    }

    /// Which of these rows nobody has locked in a way that this lock would wait for.
    pub(super) fn free(&mut self, table: &str, ids: &[i64], lock: &str) -> Vec<i64> {
        let sql = format!(
            "SELECT id AS count FROM {table} WHERE id = ANY('{{{}}}') FOR {lock} SKIP LOCKED",
            ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
        );
        let free: Vec<Count> = diesel::sql_query(sql).load(&mut self.watch).unwrap();
        let mut free: Vec<i64> = free.into_iter().map(|row| row.count).collect();
        free.sort_unstable();
        free
    }

    /// Waits until this query answers another number than 0.
    pub(super) fn until(&mut self, sql: &str) {
        self.until_or(sql, || ());
    }

    fn until_or(&mut self, sql: &str, check: impl Fn()) {
        let begun = Instant::now();
        while self.count(sql) == 0 {
            assert!(begun.elapsed() < PATIENCE, "{sql}");
            check();
            std::thread::yield_now();
        }
    }

    /// Ends the session that listens; answers whether there was one.
    pub(super) fn end_ear(&mut self) -> bool {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = '{}' AND query LIKE 'LISTEN%'",
            self.options.schema
        );
        self.count(&sql) > 0
    }
}
