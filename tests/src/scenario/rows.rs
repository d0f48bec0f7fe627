//! The engine's rows, read beside the engine.
#![allow(missing_docs, reason = "the columns are described in the schema")]

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};

use crate::database::{Look, Param};

/// A look of its own.
pub struct Rows(Look);

/// A row of `chrono_forge_workflows`.
#[derive(Clone, Debug, Deserialize)]
pub struct RunRow {
    pub id: i64,
    pub workflow: String,
    pub key: String,
    pub queue: String,
    pub priority: i64,
    pub state: i64,
    pub wake_at: Option<i64>,
    #[serde(deserialize_with = "is_set")]
    pub wake_requested: bool,
    pub locked_by: Option<i64>,
    /// How often it was claimed, or taken from who held it: the upper half of the column.
    pub lock_epoch: i64,
    pub attempts: i64,
    pub crashes: i64,
    pub stalled_by: Option<String>,
    pub retry_counts: String,
    pub options: String,
    pub args: String,
    pub output: Option<String>,
    #[serde(deserialize_with = "parsed")]
    pub context: serde_json::Value,
    pub parent: Option<i64>,
}

/// A row of `chrono_forge_execution_logs`.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
pub struct ErrorRow {
    pub step_name: Option<String>,
    pub attempt: i64,
    pub class: String,
    pub message: String,
    pub context: Option<String>,
    pub backtrace: Option<String>,
}

/// A row of `chrono_forge_context`.
#[derive(Clone, Debug, Deserialize)]
struct EntryRow {
    key: String,
    value: Option<String>,
}

const RUN: &str = "SELECT id, workflow, key, queue, priority, state, micros(wake_at) AS wake_at,
    flag(wake_requested) AS wake_requested, locked_by, lock_epoch >> 32 AS lock_epoch, attempts, crashes, stalled_by, retry_counts,
    options, args, output, context, parent_execution_log_id AS parent FROM chrono_forge_workflows";

const RECORD: &str =
    "SELECT id, step_name, seq, state, attempts, result, metadata, context_delta, error_class,
    error_message, micros(wake_at) AS wake_at, spawned, pending FROM chrono_forge_execution_logs";

impl Rows {
    pub(super) fn new(look: Look) -> Self {
        Self(look)
    }

    /// Every run, oldest first.
    #[must_use]
    pub fn runs(&self) -> Vec<RunRow> {
        self.load(&format!("{RUN} ORDER BY id"), &[])
    }

    /// Whether anything runs or is due.
    #[must_use]
    pub fn are_busy(&self, now: i64) -> bool {
        let busy = format!("{RUN} WHERE state = 1 OR state = 0 AND wake_at <= instant(?) LIMIT 1");
        !self.query::<RunRow>(&busy, &[now.into()]).is_empty()
    }

    /// The earliest deadline of a run that sleeps.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        let next = format!("{RUN} WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1");
        let next = self.query::<RunRow>(&next, &[]).pop();
        next.and_then(|run| run.wake_at)
    }

    /// The run with this key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<RunRow> {
        let sql = format!("{RUN} WHERE key = ?");
        self.load(&sql, &[key.into()]).into_iter().next()
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
        self.load(&sql, &[self.run(key).id.into()])
    }

    /// Runs with their whole contexts.
    fn load(&self, sql: &str, params: &[Param]) -> Vec<RunRow> {
        let mut runs: Vec<RunRow> = self.query(sql, params);
        let entries = "SELECT key, value FROM chrono_forge_context WHERE workflow_id = ?";
        for run in &mut runs {
            let Some(context) = run.context.as_object_mut() else {
                continue;
            };
            for EntryRow { key, value } in self.query::<EntryRow>(entries, &[run.id.into()]) {
                match value {
                    Some(json) => {
                        context.insert(key, serde_json::from_str(&json).expect("an entry is JSON"))
                    }
                    None => context.remove(&key),
                };
            }
        }
        runs
    }

    /// The records of a run, in the order in which they were first written.
    #[must_use]
    pub fn records(&self, key: &str) -> Vec<RecordRow> {
        let sql = format!("{RECORD} WHERE workflow_id = ? ORDER BY id");
        self.query(&sql, &[self.run(key).id.into()])
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
        let sql = "SELECT step_name, attempt, error_class AS class, error_message AS message, context, backtrace
            FROM chrono_forge_error_logs WHERE workflow_id = ? ORDER BY id";
        self.query(sql, &[self.run(key).id.into()])
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
    pub fn edit(&self, sql: &str, params: &[Param]) -> usize {
        self.0.edit(sql, params)
    }

    /// As [`Rows::edit`], so many statements in one transaction.
    pub fn edit_together(&self, edits: &[(&str, &[Param])]) {
        self.0.script("BEGIN");
        for (sql, params) in edits {
            self.0.edit(sql, params);
        }
        self.0.script("COMMIT");
    }

    /// Makes a parked run due.
    pub fn make_due(&self, key: &str, now: i64) {
        let sql =
            "UPDATE chrono_forge_workflows SET wake_at = instant(?) WHERE key = ? AND state = 0";
        let edited = self.edit(sql, &[now.into(), key.into()]);
        assert_eq!(edited, 1, "{key} is not idle");
    }

    /// Inserts of rows for which this holds are refused from now on.
    pub fn refuse(&self, table: &str, when: &str, why: &str) {
        self.0.refuse(table, when, why);
    }

    /// What the database does behind the engine's back; see [`Look`].
    #[must_use]
    pub fn look(&self) -> &Look {
        &self.0
    }

    /// As [`Look::tally`].
    pub fn tally(&self, table: &str, what: &str) {
        self.0.tally(table, what);
    }

    /// The output of this run will be stored as this, whatever it returns.
    pub fn spoil_output(&self, run: i64, output: &str) {
        self.0.spoil_output(run, output);
    }

    /// One number.
    #[must_use]
    pub fn number(&self, sql: &str) -> i64 {
        self.0.number(sql, &[])
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
            for line in self.0.dump(&format!("chrono_forge_{table}")) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    fn query<T: DeserializeOwned>(&self, sql: &str, params: &[Param]) -> Vec<T> {
        self.0.rows(sql, params)
    }
}

fn is_set<'de, D: Deserializer<'de>>(flag: D) -> Result<bool, D::Error> {
    Ok(i64::deserialize(flag)? != 0)
}

fn parsed<'de, D: Deserializer<'de>>(text: D) -> Result<serde_json::Value, D::Error> {
    serde_json::from_str(&String::deserialize(text)?).map_err(D::Error::custom)
}
