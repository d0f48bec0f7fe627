//! What earlier passes recorded, waiting for the operations that ask for it.

use std::collections::HashMap;

use crate::record::{Record, RecordId, RecordRow, RecordState};

/// Recorded rows by step name. An operation takes its row out, so a replay frees as it goes.
#[derive(Debug, Default)]
pub struct History {
    /// Boxed: rows are large, and a table of them is walked once for each operation of a replay. A name
    /// is the key only; its row has it again once it is taken.
    rows: HashMap<String, Box<RecordRow>>,
    seq_last: i64,
}

impl History {
    /// The rows of a run.
    #[must_use]
    pub fn new(rows: Vec<RecordRow>) -> Self {
        let seq_last = rows.iter().filter_map(|row| row.seq).max().unwrap_or(0);
        let rows = rows
            .into_iter()
            .map(|mut row| (std::mem::take(&mut row.step_name), Box::new(row)))
            .collect();
        Self { rows, seq_last }
    }

    /// Takes the row of this name.
    pub fn take(&mut self, step_name: &str) -> Option<Box<RecordRow>> {
        let (name, mut row) = self.rows.remove_entry(step_name)?;
        row.step_name = name;
        Some(row)
    }

    /// Whether there is a row of this name.
    pub fn has(&self, step_name: &str) -> bool {
        self.rows.contains_key(step_name)
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Names and rows that are left.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &RecordRow)> {
        self.rows.iter().map(|(name, row)| (&**name, &**row))
    }

    /// Puts a row back for another operation of its name.
    pub fn put_back(&mut self, mut row: RecordRow) {
        let name = std::mem::take(&mut row.step_name);
        self.rows.insert(name, Box::new(row));
    }

    /// The highest place that was given to a delivery.
    #[must_use]
    pub fn seq_last(&self) -> i64 {
        self.seq_last
    }
}

/// A record of this pass as a later reader would load it.
pub(super) fn row_of(record: &Record) -> RecordRow {
    RecordRow {
        // Only a value that is not in memory is loaded by id.
        id: RecordId(0),
        step_name: record.step_name.to_string(),
        seq: record.seq,
        state: record.state,
        attempts: record.attempts,
        result: record.result.clone(),
        result_bytes: 0,
        metadata: record.metadata.clone(),
        context_delta: record.context_delta.clone(),
        error_class: record.error_class.clone(),
        error_message: record.error_message.clone(),
        started_at: record.started_at,
        wake_at: record.wake_at,
    }
}

/// A pending row as this pass goes on writing it.
pub(super) fn pending_again(row: RecordRow) -> Record {
    Record {
        step_name: row.step_name.into(),
        state: RecordState::Pending,
        seq: None,
        attempts: row.attempts,
        result: None,
        metadata: row.metadata,
        context_delta: row.context_delta,
        error_class: None,
        error_message: None,
        started_at: row.started_at,
        last_executed_at: None,
        wake_at: row.wake_at,
        completed_at: None,
    }
}
