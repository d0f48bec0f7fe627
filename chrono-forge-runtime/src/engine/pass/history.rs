//! What earlier passes recorded, waiting for the operations that ask for it.

use std::collections::HashMap;

use crate::record::RecordRow;

/// Recorded rows by step name. An operation takes its row out, so a replay frees as it goes.
#[derive(Debug, Default)]
pub struct History {
    rows: HashMap<String, RecordRow>,
    seq_last: i64,
    delivered_left: usize,
}

impl History {
    /// The rows of a run.
    #[must_use]
    pub fn new(rows: Vec<RecordRow>) -> Self {
        let seq_last = rows.iter().filter_map(|row| row.seq).max().unwrap_or(0);
        let delivered_left = rows.iter().filter(|row| row.seq.is_some()).count();
        let rows = rows
            .into_iter()
            .map(|row| (row.step_name.clone(), row))
            .collect();
        Self {
            rows,
            seq_last,
            delivered_left,
        }
    }

    /// Takes the row of this name.
    pub fn take(&mut self, step_name: &str) -> Option<RecordRow> {
        let row = self.rows.remove(step_name)?;
        if row.seq.is_some() {
            self.delivered_left -= 1;
        }
        Some(row)
    }

    /// The highest place that was given to a delivery.
    #[must_use]
    pub fn seq_last(&self) -> i64 {
        self.seq_last
    }

    /// Whether recorded deliveries are left that no operation asked for yet. While there are, the
    /// body recomputes what it already said.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.delivered_left > 0
    }
}
