//! A record's row: what one operation left behind.

use jiff::Timestamp;

use super::{Json, RecordId};

/// Where a record stands. The numbers are those of the `state` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// Under way, parked or waiting for its next attempt.
    Pending = 0,
    /// Finished; its result is the operation's value on every replay.
    Completed = 1,
    /// Gave up; its error is the operation's value on every replay.
    Failed = 2,
}

impl RecordState {
    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            0 => Self::Pending,
            1 => Self::Completed,
            2 => Self::Failed,
            _ => return None,
        })
    }

    /// The state's name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// A record as a pass replays it.
#[derive(Clone, Debug)]
pub struct RecordRow {
    pub id: RecordId,
    pub step_name: String,
    /// Its place in the order in which the body received outcomes; `None` while pending, or when
    /// the body dropped the operation before delivery.
    pub seq: Option<i64>,
    pub state: RecordState,
    /// Finished attempts.
    pub attempts: u32,
    /// The stored value; `None` when there is none or when it was too large to load with its row
    /// (see `result_bytes`).
    pub result: Option<Json>,
    /// Length of the stored value in bytes; 0 when there is none.
    pub result_bytes: u64,
    pub metadata: Option<Json>,
    pub context_delta: Option<Json>,
    pub error_class: Option<String>,
    pub error_message: Option<String>,
    pub started_at: Option<Timestamp>,
    /// The deadline or the next retry of a pending record.
    pub wake_at: Option<Timestamp>,
}

/// The counters of one branch row, as a merge reads them.
#[derive(Clone, Debug)]
pub struct BranchRow {
    pub id: RecordId,
    pub step_name: String,
    pub sealed: bool,
    pub spawned: u64,
    pub pending: u64,
}

/// The name under which a body that runs again stands beside what it waits for; no record has it.
pub const BODY: &str = "body";

/// A record that is under way, or the body itself, as operators read it.
#[derive(Clone, Debug)]
pub struct PendingRow {
    /// The record's name, or [`BODY`].
    pub step_name: String,
    /// Finished attempts.
    pub attempts: u32,
    pub metadata: Option<Json>,
    pub last_executed_at: Option<Timestamp>,
    /// The deadline or the next retry.
    pub wake_at: Option<Timestamp>,
    /// Class and message of its newest error row.
    pub last_error: Option<(String, String)>,
    /// Whether a worker holds its run.
    pub is_held: bool,
}
