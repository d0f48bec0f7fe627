//! The engine's rows, read beside the engine.
#![allow(missing_docs, reason = "the columns are described in the schema")]

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Params, Row, params};

/// A connection of its own.
pub struct Rows(Connection);

/// A row of `chrono_forge_workflows`.
#[derive(Clone, Debug)]
pub struct RunRow {
    pub id: i64,
    pub workflow: String,
    pub key: String,
    pub queue: String,
    pub priority: i64,
    pub state: i64,
    pub wake_at: Option<i64>,
    pub wake_requested: bool,
    pub locked_by: Option<i64>,
    pub lock_epoch: i64,
    pub attempts: i64,
    pub crashes: i64,
    pub stalled_by: Option<String>,
    pub retry_counts: String,
    pub options: String,
    pub args: String,
    pub output: Option<String>,
    pub context: serde_json::Value,
    pub parent: Option<i64>,
}

/// A row of `chrono_forge_execution_logs`.
#[derive(Clone, Debug)]
pub struct RecordRow {
    pub id: i64,
    pub step_name: String,
    pub seq: Option<i64>,
    pub state: i64,
    pub attempts: i64,
    pub result: Option<String>,
    pub metadata: Option<String>,
    pub context_delta: Option<String>,
    pub error_class: Option<String>,
    pub error_message: Option<String>,
    pub wake_at: Option<i64>,
    pub spawned: i64,
    pub pending: i64,
}

/// A row of `chrono_forge_error_logs`.
#[derive(Clone, Debug)]
pub struct ErrorRow {
    pub step_name: Option<String>,
    pub attempt: i64,
    pub class: String,
    pub message: String,
    pub context: Option<String>,
    pub backtrace: Option<String>,
}

const RUN: &str = "SELECT id, workflow, key, queue, priority, state, wake_at, wake_requested,
    locked_by, lock_epoch, attempts, crashes, stalled_by, retry_counts, options, args, output,
    context, parent_execution_log_id FROM chrono_forge_workflows";

const RECORD: &str = "SELECT id, step_name, seq, state, attempts, result, metadata, context_delta,
    error_class, error_message, wake_at, spawned, pending FROM chrono_forge_execution_logs";

impl Rows {
    pub(super) fn open(file: &Path) -> Self {
        let conn = Connection::open(file).expect("the file opens");
        conn.busy_timeout(Duration::from_secs(5))
            .expect("a timeout");
        // Edits tear rows apart on purpose.
        conn.execute_batch("PRAGMA foreign_keys = OFF")
            .expect("a pragma");
        Self(conn)
    }

    /// Every run, oldest first.
    #[must_use]
    pub fn runs(&self) -> Vec<RunRow> {
        self.query(&format!("{RUN} ORDER BY id"), [], run_of)
    }

    /// The run with this key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<RunRow> {
        let sql = format!("{RUN} WHERE key = ?");
        self.query(&sql, [key], run_of).into_iter().next()
    }

    /// The run with this key, which exists.
    #[must_use]
    pub fn run(&self, key: &str) -> RunRow {
        self.find(key)
            .unwrap_or_else(|| panic!("no run {key}:\n{}", self.dump()))
    }

    /// The children of all branches of a run, in order of dispatch.
    #[must_use]
    pub fn children(&self, key: &str) -> Vec<RunRow> {
        let sql = format!(
            "{RUN} WHERE parent_execution_log_id IN
                (SELECT id FROM chrono_forge_execution_logs WHERE workflow_id = ?) ORDER BY id"
        );
        self.query(&sql, [self.run(key).id], run_of)
    }

    /// The records of a run, in the order in which they were first written.
    #[must_use]
    pub fn records(&self, key: &str) -> Vec<RecordRow> {
        let sql = format!("{RECORD} WHERE workflow_id = ? ORDER BY id");
        self.query(&sql, [self.run(key).id], record_of)
    }

    /// The record of this name, which exists.
    #[must_use]
    pub fn record(&self, key: &str, step_name: &str) -> RecordRow {
        let mut found = self.records(key);
        found.retain(|record| record.step_name == step_name);
        found
            .pop()
            .unwrap_or_else(|| panic!("no record {step_name} of {key}:\n{}", self.dump()))
    }

    /// Names of a run's delivered records, in the order of their delivery.
    #[must_use]
    pub fn order(&self, key: &str) -> Vec<String> {
        let mut records = self.records(key);
        records.retain(|record| record.seq.is_some());
        records.sort_by_key(|record| record.seq);
        records.into_iter().map(|record| record.step_name).collect()
    }

    /// Errors of a run, oldest first.
    #[must_use]
    pub fn errors(&self, key: &str) -> Vec<ErrorRow> {
        let sql = "SELECT step_name, attempt, error_class, error_message, context, backtrace
            FROM chrono_forge_error_logs WHERE workflow_id = ? ORDER BY id";
        self.query(sql, [self.run(key).id], |row| {
            Ok(ErrorRow {
                step_name: row.get(0)?,
                attempt: row.get(1)?,
                class: row.get(2)?,
                message: row.get(3)?,
                context: row.get(4)?,
                backtrace: row.get(5)?,
            })
        })
    }

    /// `step_name, attempt` of each error of a run.
    #[must_use]
    pub fn attempts(&self, key: &str) -> Vec<(String, i64)> {
        let errors = self.errors(key).into_iter();
        errors
            .map(|error| (error.step_name.unwrap_or_default(), error.attempt))
            .collect()
    }

    /// Changes rows behind the engine's back; answers how many.
    pub fn edit(&self, sql: &str, params: impl Params) -> usize {
        self.0.execute(sql, params).expect("an edit")
    }

    /// Makes a parked run due.
    pub fn make_due(&self, key: &str, now: i64) {
        let sql = "UPDATE chrono_forge_workflows SET wake_at = ? WHERE key = ? AND state = 0";
        assert_eq!(self.edit(sql, params![now, key]), 1, "{key} is not idle");
    }

    /// One number.
    #[must_use]
    pub fn number(&self, sql: &str) -> i64 {
        self.0
            .query_row(sql, [], |row| row.get(0))
            .expect("a number")
    }

    /// Every row of the tables that tell a story.
    #[must_use]
    pub fn dump(&self) -> String {
        let tables = [
            "workflows",
            "execution_logs",
            "error_logs",
            "blocked",
            "workers",
        ];
        let mut text = String::new();
        for table in tables {
            text.push_str(&format!("-- {table}\n"));
            let sql = format!("SELECT * FROM chrono_forge_{table} LIMIT 100");
            let Ok(mut statement) = self.0.prepare(&sql) else {
                continue;
            };
            let names: Vec<String> = statement
                .column_names()
                .iter()
                .map(ToString::to_string)
                .collect();
            let lines = statement.query_map([], |row| line(row, &names));
            for line in lines.into_iter().flatten().flatten() {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    fn query<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        // The file may not have its tables yet.
        let Ok(mut statement) = self.0.prepare(sql) else {
            return Vec::new();
        };
        let rows = statement.query_map(params, read).expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    }
}

fn line(row: &Row<'_>, names: &[String]) -> rusqlite::Result<String> {
    let mut line = String::new();
    for (at, name) in names.iter().enumerate() {
        match row.get::<_, Value>(at)? {
            Value::Null => {}
            Value::Integer(n) => line.push_str(&format!(" {name}={n}")),
            Value::Text(text) => line.push_str(&format!(" {name}={text:.300}")),
            other => line.push_str(&format!(" {name}={other:?}")),
        }
    }
    Ok(line)
}

fn run_of(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let context: String = row.get(17)?;
    Ok(RunRow {
        id: row.get(0)?,
        workflow: row.get(1)?,
        key: row.get(2)?,
        queue: row.get(3)?,
        priority: row.get(4)?,
        state: row.get(5)?,
        wake_at: row.get(6)?,
        wake_requested: row.get(7)?,
        locked_by: row.get(8)?,
        lock_epoch: row.get(9)?,
        attempts: row.get(10)?,
        crashes: row.get(11)?,
        stalled_by: row.get(12)?,
        retry_counts: row.get(13)?,
        options: row.get(14)?,
        args: row.get(15)?,
        output: row.get(16)?,
        context: serde_json::from_str(&context).expect("the context is JSON"),
        parent: row.get(18)?,
    })
}

fn record_of(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    Ok(RecordRow {
        id: row.get(0)?,
        step_name: row.get(1)?,
        seq: row.get(2)?,
        state: row.get(3)?,
        attempts: row.get(4)?,
        result: row.get(5)?,
        metadata: row.get(6)?,
        context_delta: row.get(7)?,
        error_class: row.get(8)?,
        error_message: row.get(9)?,
        wake_at: row.get(10)?,
        spawned: row.get(11)?,
        pending: row.get(12)?,
    })
}
