//! What children leave behind: their results and their failed attempts, and how pages of them are read.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Json, RunId};

/// The children of one spawn of one branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnPath {
    /// The parent.
    pub run: RunId,
    /// The branch's row, `branch$<name>`.
    pub branch: Arc<str>,
    /// The key of a `spawn!`'s child; with `$` behind it, what the keys of a `spawn_each!` begin with.
    pub key: String,
}

impl SpawnPath {
    /// Whether a run with this key is a child of this spawn.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        let behind = key.strip_prefix(&*self.key);
        behind.is_some_and(|behind| behind.is_empty() || behind.starts_with('$'))
    }
}

/// A completed child's id, key and output.
pub type OutputRow = (RunId, String, Json);

/// One failed attempt of a child that has completed since.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildFailure {
    /// The child's key, as `forge.get` takes it.
    pub child: String,
    /// The record that failed (`step$charge`); `None` for the child's body itself.
    pub step: Option<String>,
    /// Counted from 1 for each step, over retries by hand, too.
    pub attempt: u32,
    /// The type of the error, as policies name it.
    pub class: String,
    /// The error's message with its causes.
    pub message: String,
    /// When the attempt failed.
    pub at: Timestamp,
}

/// How far the failures of a spawn were read: those of the children up to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailurePlace {
    pub child: RunId,
    /// A page of failures was full before the failures of its children ended.
    pub rest: Option<FailureRest>,
}

/// What a full page of failures left unread: the later ones of its last child, and those of the children
/// behind that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRest {
    /// The last failure that was read: its step (empty for the body) and its attempt.
    pub step: String,
    pub attempt: u32,
    /// The last child of the page of children.
    pub until: RunId,
}

impl FailurePlace {
    /// Before the first failure.
    pub const START: Self = Self {
        child: RunId(0),
        rest: None,
    };
}

/// Failures that were read at once.
#[derive(Clone, Debug)]
pub struct FailurePage {
    pub failures: Vec<ChildFailure>,
    /// How many children this page was the first to look at.
    pub children: u64,
    /// Where the next page begins.
    pub next: FailurePlace,
}
