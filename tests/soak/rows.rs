//! Rows as text, from either kind of database.

use std::path::PathBuf;

/// Where the rows are.
pub(crate) enum Rows {
    File(PathBuf),
    #[cfg(feature = "postgres")]
    Server(String),
}

impl Rows {
    /// The one column of every row, as text; `None` while the database cannot be read.
    pub(crate) fn texts(&self, sql: &str) -> Option<Vec<String>> {
        match self {
            Self::File(path) => of_file(path, sql).ok(),
            #[cfg(feature = "postgres")]
            Self::Server(url) => server::texts(url, sql),
        }
    }

    /// Holds a lock for so long: on the whole file, or on tables or one row of a server.
    pub(crate) fn lock(&self, how: u64, time: std::time::Duration) {
        match self {
            Self::File(path) => {
                // There is but one lock to hold.
                let _ = how;
                lock_file(path, time);
            }
            #[cfg(feature = "postgres")]
            Self::Server(url) => server::lock(url, how, time),
        }
    }
}

fn of_file(path: &PathBuf, sql: &str) -> rusqlite::Result<Vec<String>> {
    let connection = rusqlite::Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(20))?;
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.collect()
}

fn lock_file(path: &PathBuf, time: std::time::Duration) {
    let Ok(connection) = rusqlite::Connection::open(path) else {
        return;
    };
    let _ = connection.busy_timeout(std::time::Duration::from_secs(5));
    if connection.execute_batch("BEGIN IMMEDIATE").is_ok() {
        std::thread::sleep(time);
        let _ = connection.execute_batch("ROLLBACK");
    }
}

#[cfg(feature = "postgres")]
mod server {
    use std::time::Duration;

    use diesel::connection::SimpleConnection;
    use diesel::pg::PgConnection;
    use diesel::prelude::*;
    use diesel::sql_types::Text;

    #[derive(QueryableByName)]
    struct Words {
        #[diesel(sql_type = Text)]
        text: String,
    }

    pub(super) fn texts(url: &str, sql: &str) -> Option<Vec<String>> {
        let mut conn = PgConnection::establish(url).ok()?;
        let sql = format!("SELECT q.text::text AS text FROM ({sql}) AS q (text)");
        let rows = diesel::sql_query(sql).load::<Words>(&mut conn).ok()?;
        Some(rows.into_iter().map(|row| row.text).collect())
    }

    /// Somebody's migration, or an operator's session that was left open on a run, a branch or a worker.
    const LOCKS: [&str; 4] = [
        "LOCK TABLE chrono_forge_workflows, chrono_forge_workers IN ACCESS EXCLUSIVE MODE",
        "SELECT 1 FROM chrono_forge_workflows WHERE state < 2 ORDER BY id DESC LIMIT 3 FOR UPDATE",
        "SELECT 1 FROM chrono_forge_execution_logs WHERE pending > 0 ORDER BY id LIMIT 1 FOR UPDATE",
        "SELECT 1 FROM chrono_forge_workers WHERE stopped_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE",
    ];

    pub(super) fn lock(url: &str, how: u64, time: Duration) {
        let Ok(mut conn) = PgConnection::establish(url) else {
            return;
        };
        let lock = LOCKS[how as usize % LOCKS.len()];
        let held = format!("SET lock_timeout = '3s'; BEGIN; {lock}");
        if conn.batch_execute(&held).is_ok() {
            std::thread::sleep(time);
        }
        let _ = conn.batch_execute("ROLLBACK");
    }
}
