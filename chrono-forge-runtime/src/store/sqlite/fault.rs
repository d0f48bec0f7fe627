//! What a failed statement means: SQLite's result code is known here only by its message, since
//! Diesel does not hand the code out.

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error};

use crate::error::{StoreError, StoreErrorKind};

/// Texts of `sqlite3_errstr`, each with its meaning.
const MESSAGES: [(&str, StoreErrorKind); 18] = [
    ("database is locked", StoreErrorKind::Transient),
    ("database table is locked", StoreErrorKind::Transient),
    ("database schema is locked", StoreErrorKind::Transient),
    ("database schema has changed", StoreErrorKind::Transient),
    ("locking protocol", StoreErrorKind::Transient),
    ("database or disk is full", StoreErrorKind::Transient),
    ("disk I/O error", StoreErrorKind::Transient),
    ("out of memory", StoreErrorKind::Transient),
    ("interrupted", StoreErrorKind::Transient),
    ("file is not a database", StoreErrorKind::Corrupt),
    ("database disk image is malformed", StoreErrorKind::Corrupt),
    ("malformed database schema", StoreErrorKind::Corrupt),
    ("unable to open database file", StoreErrorKind::Access),
    (
        "attempt to write a readonly database",
        StoreErrorKind::Access,
    ),
    ("unsupported file format", StoreErrorKind::Corrupt),
    ("no such table", StoreErrorKind::Schema),
    ("no such column", StoreErrorKind::Schema),
    ("has no column named", StoreErrorKind::Schema),
];

/// The store's error for a failed statement of this operation.
pub(super) fn statement(operation: &'static str, error: &Error) -> StoreError {
    if is_busy(error) {
        let message =
            format!("{error}: another connection keeps its write lock; end its transaction");
        return StoreError::new(operation, kind(error), message);
    }
    StoreError::new(operation, kind(error), error)
}

/// The store's error for a connection that could not be opened.
pub(super) fn connection(operation: &'static str, error: &ConnectionError) -> StoreError {
    let kind = match error {
        ConnectionError::BadConnection(message) => by_message(message),
        ConnectionError::CouldntSetupConfiguration(error) => Some(kind(error)),
        _ => None,
    };
    StoreError::new(operation, kind.unwrap_or(StoreErrorKind::Corrupt), error)
}

/// Whether another connection holds the lock that this statement needed.
pub(super) fn is_busy(error: &Error) -> bool {
    let Error::DatabaseError(DatabaseErrorKind::Unknown, info) = error else {
        return false;
    };
    let message = info.message();
    message.contains("is locked") || message.contains("locking protocol")
}

/// Whether a unique constraint refused the statement.
pub(super) fn is_duplicate(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)
    )
}

fn kind(error: &Error) -> StoreErrorKind {
    match error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, info) => {
            // What is neither the database's nor the moment's fault is the statement's.
            by_message(info.message()).unwrap_or(StoreErrorKind::Refused)
        }
        Error::DeserializationError(_) => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Refused,
    }
}

fn by_message(message: &str) -> Option<StoreErrorKind> {
    let known = MESSAGES.iter().find(|(text, _)| message.contains(text));
    known.map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_tell_what_helps() {
        let kind_of = |message: &str| {
            let info = Box::new(message.to_owned());
            statement(
                "apply",
                &Error::DatabaseError(DatabaseErrorKind::Unknown, info),
            )
            .kind
        };
        assert_eq!(kind_of("database is locked"), StoreErrorKind::Transient);
        assert_eq!(
            kind_of("database or disk is full"),
            StoreErrorKind::Transient
        );
        assert_eq!(kind_of("disk I/O error"), StoreErrorKind::Transient);
        assert_eq!(kind_of("string or blob too big"), StoreErrorKind::Refused);
        assert_eq!(kind_of("file is not a database"), StoreErrorKind::Corrupt);
        assert_eq!(
            kind_of("no such table: chrono_forge_workflows"),
            StoreErrorKind::Schema
        );
        let violation = Error::DatabaseError(
            DatabaseErrorKind::CheckViolation,
            Box::new("CHECK constraint failed: database is locked".to_owned()),
        );
        assert_eq!(statement("apply", &violation).kind, StoreErrorKind::Refused);
        assert!(!is_busy(&violation));
    }
}
