//! What a store call can fail with, and whether trying the same bytes again can help.

/// What a write says whose commit was sent and whose answer was lost.
pub(crate) const OUTCOME_UNKNOWN: &str = "it is not known whether it happened";

/// A failed store call.
#[derive(Clone, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct StoreError {
    /// The intent that failed, as named by the traits.
    pub operation: &'static str,
    pub message: String,
    pub kind: StoreErrorKind,
}

/// What the caller should do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Busy, full, connection lost, deadlock: the same bytes may succeed later.
    Transient,
    /// The statement took longer than its session may: the same bytes may succeed when there is less to do beside
    /// them, or in smaller parts.
    Slow,
    /// The database refuses these bytes (a constraint, a value it cannot hold).
    Refused,
    /// The file is not a database, is not writable, or its content cannot be read.
    Corrupt,
    /// The database file is no longer the one that was opened: it was replaced, written over, cut short or removed.
    /// The engine has stopped; the message names the file.
    Replaced,
    /// The schema is newer than this binary knows, or older and may not be migrated here.
    Schema,
    /// The engine was shut down.
    Closed,
}

impl StoreError {
    /// An error of this kind.
    pub fn new(operation: &'static str, kind: StoreErrorKind, message: impl ToString) -> Self {
        Self {
            operation,
            message: message.to_string(),
            kind,
        }
    }

    /// Whether the same bytes may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Transient | StoreErrorKind::Slow)
    }

    /// Whether nothing helps while this engine lives.
    #[must_use]
    pub(crate) fn ends_the_engine(&self) -> bool {
        self.kind == StoreErrorKind::Replaced
    }

    /// Whether the write may have happened all the same.
    #[must_use]
    pub(crate) fn may_have_happened(&self) -> bool {
        self.message.contains(OUTCOME_UNKNOWN)
    }

    /// Whether the same bytes succeed only once somebody has mended the database, or the way to it.
    #[must_use]
    pub(crate) fn needs_mending(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Corrupt | StoreErrorKind::Schema)
    }
}
