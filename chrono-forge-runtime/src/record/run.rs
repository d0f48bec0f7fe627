//! A run's row as the engine sees it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Due, Epoch, Json, Level, RecordId, RunId};

/// Where a run stands. The numbers are those of the `state` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunState {
    /// Parked or due; no worker holds it.
    Idle = 0,
    /// A worker holds it.
    Running = 1,
    /// The body returned a value.
    Completed = 2,
    /// The body returned an error that nothing retries, or broke a rule.
    Failed = 3,
    /// A step gave up; `forge.retry` re-arms it.
    Stalled = 4,
    /// Ended by hand.
    Canceled = 5,
}

impl RunState {
    /// The state with this number, if there is one.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            0 => Self::Idle,
            1 => Self::Running,
            2 => Self::Completed,
            3 => Self::Failed,
            4 => Self::Stalled,
            5 => Self::Canceled,
            _ => return None,
        })
    }

    /// The state's name in lower case, as messages and operators write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Stalled => "stalled",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing moves the run on but a person.
    #[must_use]
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Idle | Self::Running)
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A run that this worker now holds: all that a pass needs to begin.
#[derive(Clone, Debug)]
pub struct ClaimedRun {
    pub id: RunId,
    pub key: String,
    pub workflow: Arc<str>,
    pub queue: Arc<str>,
    pub level: Level,
    /// The epoch of this claim.
    pub epoch: Epoch,
    pub args: Json,
    /// Workflow-level failures recorded so far; numbers the next error row.
    pub attempts: u32,
    /// Workflow-level budget used since the last progress: JSON text, `{}` when none.
    pub retry_counts: Json,
    /// Consecutive deaths of workers that held the run without recording anything new.
    pub crashes: u32,
    /// The branch row that spawned this run.
    pub parent: Option<RecordId>,
    /// The run's own creation instant.
    pub created_at: Timestamp,
    /// Whether no record can exist yet, so that the pass need not look.
    pub fresh: bool,
}

/// A run as operators and waiting callers read it.
#[derive(Clone, Debug)]
pub struct RunRow {
    pub id: RunId,
    pub key: String,
    pub workflow: String,
    pub queue: String,
    pub level: Level,
    pub args: Json,
    pub output: Option<Json>,
    pub options: Json,
    pub state: RunState,
    pub wake_at: Option<Due>,
    pub wake_requested: bool,
    pub locked_by: Option<i64>,
    pub epoch: Epoch,
    pub attempts: u32,
    pub retry_counts: Json,
    pub crashes: u32,
    pub stalled_by: Option<String>,
    pub parent: Option<RecordId>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// Class and message of the newest error row, for a failed or stalled run.
    pub last_error: Option<(String, String)>,
}
