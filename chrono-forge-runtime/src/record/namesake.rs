//! Runs that share a workflow and a key.

use std::fmt;

/// One of the runs that share a workflow and a key; told by
/// [`Error::AmbiguousKey`](crate::error::Error::AmbiguousKey).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namesake {
    /// Its [`Run::id`](crate::forge::Run::id), by which
    /// [`Forge::by_id`](crate::forge::Forge::by_id) finds it.
    pub id: i64,
    /// The branch that spawned it; `None` for a run that `forge.start` made.
    pub parent: Option<ParentBranch>,
}

/// The branch of a run that spawned a child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentBranch {
    /// The parent's [`Run::id`](crate::forge::Run::id).
    pub id: i64,
    /// The registered name of the parent's workflow.
    pub workflow: String,
    /// The parent's key.
    pub key: String,
    /// The name of the branch.
    pub branch: String,
}

impl fmt::Display for Namesake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parent {
            None => write!(f, "run {} without a parent", self.id),
            Some(parent) => write!(
                f,
                "run {} of branch `{}` of `{}` {:?} (run {})",
                self.id, parent.branch, parent.workflow, parent.key, parent.id
            ),
        }
    }
}
