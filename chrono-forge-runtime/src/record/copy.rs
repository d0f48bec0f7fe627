//! Runs on their way from one database to another: everything that a run needs to go on, and no id, since
//! ids are each database's own.
//!
//! Payloads are the stored JSON as text, byte for byte: never read, so that a `u128`, an `f32` or the order
//! of keys arrives as it left.

mod spelling;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Due, RecordState, RunId, RunState};
use spelling::{instant, maybe_due, maybe_instant};

/// What the names of branch records begin with.
pub const BRANCH: &str = "branch$";

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunCopy {
    /// Its number in the file, by which its children name it. Files of version 1 have none: there a
    /// workflow and a key tell a run from every other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    pub workflow: String,
    pub key: String,
    /// The branch that spawned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<BranchName>,
    pub queue: String,
    /// The stored priority.
    pub level: i16,
    #[serde(with = "spelling::run_state")]
    pub state: RunState,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_due")]
    pub wake_at: Option<Due>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wake_requested: bool,
    /// Kept, because 0 means that no pass has begun, and whoever claims such a run does not look for records.
    /// It fences nobody in the new database, where no worker ever held the run; late writes of old workers
    /// reach the old database only.
    pub epoch: i64,
    pub attempts: u32,
    pub crashes: u32,
    #[serde(with = "instant")]
    pub created_at: Timestamp,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_instant"
    )]
    pub started_at: Option<Timestamp>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_instant"
    )]
    pub completed_at: Option<Timestamp>,
    /// Since when it is failed, stalled or canceled.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_instant"
    )]
    pub blocked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_parent: Option<String>,
    pub retry_counts: String,
    pub options: String,
    pub args: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    pub context: String,
}

/// A branch, by what it is called in every database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchName {
    /// The number of its run, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    pub workflow: String,
    pub key: String,
    /// The name of its record: `branch$n`.
    pub record: String,
}

/// A record of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordCopy {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    #[serde(with = "spelling::record_state")]
    pub state: RecordState,
    pub attempts: u32,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_instant"
    )]
    pub started_at: Option<Timestamp>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_instant"
    )]
    pub last_executed_at: Option<Timestamp>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_instant"
    )]
    pub wake_at: Option<Timestamp>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "maybe_instant"
    )]
    pub completed_at: Option<Timestamp>,
    /// Of a branch: children dispatched, and those of them that have not completed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spawned: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pending: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_delta: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// A failed attempt of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCopy {
    /// The name of the record; `None` for an error of the body itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub attempt: u32,
    pub class: String,
    pub message: String,
    #[serde(with = "instant")]
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backtrace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// What tells a run of a file from the others in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunMark {
    Id(i64),
    /// Workflow and key.
    Name(String, String),
}

/// A run with all or some of its records and errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunParts {
    pub run: RunCopy,
    /// The run in the database that its parent stands for, if the parent is not in the same batch.
    pub parent: Option<RunId>,
    pub records: Vec<RecordCopy>,
    pub errors: Vec<ErrorCopy>,
}

impl BranchName {
    /// What its run has in the file.
    #[must_use]
    pub fn mark(&self) -> RunMark {
        mark(self.run, &self.workflow, &self.key)
    }
}

fn mark(id: Option<i64>, workflow: &str, key: &str) -> RunMark {
    let name = || RunMark::Name(workflow.to_owned(), key.to_owned());
    id.map_or_else(name, RunMark::Id)
}

impl RunCopy {
    /// What it is called by in the file.
    #[must_use]
    pub fn mark(&self) -> RunMark {
        mark(self.id, &self.workflow, &self.key)
    }

    /// The run without the numbers of one file.
    #[must_use]
    pub fn unnumbered(mut self) -> Self {
        self.id = None;
        if let Some(parent) = &mut self.parent {
            parent.run = None;
        }
        self
    }

    /// The run as whoever goes on with it finds it: what a worker of the old database holds is due in the
    /// new one. The epoch stays; the claim that follows raises it.
    #[must_use]
    pub fn released(mut self, now: Timestamp) -> Self {
        if self.state == RunState::Running {
            self.state = RunState::Idle;
            self.wake_at = Some(Due::AtOnce { since: now });
            self.wake_requested = false;
        }
        self
    }

    /// Since when the run is blocked, if it is; a file that does not tell says "now".
    #[must_use]
    pub fn blocked_since(&self, now: Timestamp) -> Option<Timestamp> {
        let is_blocked = matches!(
            self.state,
            RunState::Failed | RunState::Stalled | RunState::Canceled
        );
        is_blocked.then(|| self.blocked_at.unwrap_or(now))
    }

    /// Bytes of text, for the bounds of pages and transactions.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let output = self.output.as_ref().map_or(0, String::len);
        256 + self.key.len() + self.args.len() + self.context.len() + output
    }

    /// Which of its names has a null character, which not every database can store.
    #[must_use]
    pub fn nul(&self) -> Option<&'static str> {
        let parent = self.parent.as_ref();
        let parent = |of: fn(&BranchName) -> &String| parent.map_or("", |parent| of(parent));
        let names = [
            ("the key", &*self.key),
            ("the name of its workflow", &*self.workflow),
            ("the name of its queue", &*self.queue),
            ("the key of its parent", parent(|parent| &parent.key)),
            ("the name of its branch", parent(|parent| &parent.record)),
            (
                "the name of the record that it stalled at",
                self.stalled_by.as_deref().unwrap_or(""),
            ),
        ];
        let nul = names.into_iter().find(|(_, name)| name.contains('\0'));
        nul.map(|(what, _)| what)
    }

    /// What no database would hold, if it holds such a thing.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        if self.state == RunState::Running {
            return Some(
                "a run cannot be `running` without a worker; write `idle` and a `wake_at`",
            );
        }
        if self.wake_at.is_some() && self.state != RunState::Idle {
            return Some("only an idle run has a `wake_at`");
        }
        (self.epoch < 0 || self.level < 0).then_some("`epoch` and `level` are not negative")
    }
}

impl RecordCopy {
    /// As [`RunCopy::nul`].
    #[must_use]
    pub fn nul(&self) -> Option<&'static str> {
        self.name.contains('\0').then_some("the name of a record")
    }

    /// As [`RunCopy::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        192 + self.name.len()
            + text(&self.metadata)
            + text(&self.context_delta)
            + text(&self.result)
            + text(&self.error_message)
    }

    /// As [`RunCopy::problem`].
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        (self.pending > self.spawned).then_some("more children are `pending` than were `spawned`")
    }
}

impl ErrorCopy {
    /// As [`RunCopy::nul`].
    #[must_use]
    pub fn nul(&self) -> Option<&'static str> {
        let name = self.name.as_deref().unwrap_or("");
        name.contains('\0')
            .then_some("the name of a record that failed")
    }

    /// As [`RunCopy::bytes`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        192 + self.message.len() + text(&self.backtrace) + text(&self.context)
    }

    /// As [`RunCopy::problem`].
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        (self.attempt == 0).then_some("attempts are counted from 1")
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
