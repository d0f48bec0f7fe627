//! What a failed statement means.
//!
//! Diesel hands out a kind for a few SQLSTATEs and the message for the rest, in the server's language.
//! So a message that is not known here is tried again a few times before it counts as a refusal: a deadlock
//! told in another language does not come back, a value that cannot be stored does.

mod remedy;

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error};

use super::sequences;
use crate::error::{STAYS_LOCKED, StoreError, StoreErrorKind};

/// Parts of messages, each with its meaning.
const MESSAGES: [(&str, StoreErrorKind); 43] = [
    // Before what they may be part of: a root certificate that does not exist is not a missing table.
    ("certificate", StoreErrorKind::Access),
    ("does not support SSL", StoreErrorKind::Access),
    ("sslrootcert", StoreErrorKind::Access),
    ("private key file", StoreErrorKind::Access),
    ("deadlock detected", StoreErrorKind::Transient),
    ("tuple concurrently", StoreErrorKind::Transient),
    // Whatever the server itself fails at: a file that it cannot extend, read or open, a lock, an order of transactions.
    ("could not ", StoreErrorKind::Transient),
    // Of transactions that are about to wrap around, until a vacuum helps.
    ("is not accepting commands", StoreErrorKind::Transient),
    ("due to statement timeout", StoreErrorKind::Slow),
    ("canceling statement", StoreErrorKind::Transient),
    ("terminating connection", StoreErrorKind::Transient),
    ("server closed the connection", StoreErrorKind::Transient),
    ("out of memory", StoreErrorKind::Transient),
    ("out of shared memory", StoreErrorKind::Transient),
    ("No space left on device", StoreErrorKind::Transient),
    ("the database system is", StoreErrorKind::Transient),
    ("too many clients", StoreErrorKind::Transient),
    ("too many connections", StoreErrorKind::Transient),
    ("connection slots", StoreErrorKind::Transient),
    ("read-only transaction", StoreErrorKind::Transient),
    ("prepared statement", StoreErrorKind::Transient),
    ("cached plan", StoreErrorKind::Transient),
    ("password authentication failed", StoreErrorKind::Access),
    // Of the system's user, of LDAP, PAM, GSSAPI, ..
    ("authentication failed", StoreErrorKind::Access),
    ("not permitted to log in", StoreErrorKind::Access),
    ("no pg_hba.conf entry", StoreErrorKind::Access),
    ("pg_hba.conf rejects", StoreErrorKind::Access),
    ("no password supplied", StoreErrorKind::Access),
    ("definition of service", StoreErrorKind::Refused),
    // Of a table or an index that is damaged, which no run is to blame for.
    ("invalid page in block", StoreErrorKind::Corrupt),
    ("missing chunk number", StoreErrorKind::Corrupt),
    ("unexpected chunk number", StoreErrorKind::Corrupt),
    ("unexpected zero page", StoreErrorKind::Corrupt),
    ("failed to re-find parent key", StoreErrorKind::Corrupt),
    ("temp_file_limit", StoreErrorKind::Transient),
    ("permission denied", StoreErrorKind::Schema),
    ("row-level security", StoreErrorKind::Schema),
    // The database's encoding lacks a character, as one that was moved to another server may: no fault of the run's.
    ("has no equivalent in encoding", StoreErrorKind::Schema),
    (INCOMPLETE, StoreErrorKind::Schema),
    ("does not exist", StoreErrorKind::Schema),
    ("no schema has been selected", StoreErrorKind::Schema),
    ("invalid byte sequence", StoreErrorKind::Refused),
    ("index row size", StoreErrorKind::Refused),
];

/// What an insert says whose table lacks the index that it relies on.
const INCOMPLETE: &str = "no unique or exclusion constraint matching";

/// The store's error for a failed statement of this operation.
pub(super) fn statement(operation: &'static str, error: &Error) -> StoreError {
    let kind = kind(error).unwrap_or(StoreErrorKind::Refused);
    StoreError::new(operation, kind, remedy::told(error))
}

/// The store's error for a connection that was lost while this operation was under way.
pub(super) fn lost(operation: &'static str, error: &Error) -> StoreError {
    StoreError::new(operation, StoreErrorKind::Transient, error)
}

/// The store's error for a statement that a time limit ended, in a language that is not known here:
/// that of locks is the shorter one.
pub(super) fn waited(operation: &'static str, error: &Error) -> StoreError {
    let message = format!("{error}: {STAYS_LOCKED}");
    StoreError::new(operation, StoreErrorKind::Transient, message)
}

/// The store's error for a connection that could not be opened.
pub(super) fn connection(operation: &'static str, error: &ConnectionError) -> StoreError {
    let kind = match error {
        ConnectionError::BadConnection(message) if is_of_url(message) => {
            Some(StoreErrorKind::Refused)
        }
        ConnectionError::BadConnection(message) => by_message(message),
        ConnectionError::InvalidConnectionUrl(_) | ConnectionError::InvalidCString(_) => {
            Some(StoreErrorKind::Refused)
        }
        ConnectionError::CouldntSetupConfiguration(error) => kind(error),
        _ => None,
    };
    StoreError::new(
        operation,
        kind.unwrap_or(StoreErrorKind::Transient),
        remedy::told(error),
    )
}

/// Whether libpq could not read the URL, so that no server was asked.
fn is_of_url(message: &str) -> bool {
    let known = [
        "in URI",
        "invalid URI",
        "invalid connection option",
        "percent-encoded",
        "invalid port number",
        "for connection option",
    ];
    let is_bad_value = message.starts_with("invalid ") && message.contains(" value: \"");
    is_bad_value || known.iter().any(|known| message.contains(known))
}

/// Whether the server, or a limit of the role or the database, has no room for another connection.
pub(super) fn is_crowded(error: &ConnectionError) -> bool {
    let message = error.to_string();
    let known = [
        "too many clients",
        "too many connections",
        "connection slots",
    ];
    known.iter().any(|known| message.contains(known))
}

/// Whether it passes by itself, or with the connection.
pub(super) fn is_passing(error: &Error) -> bool {
    let passing = [StoreErrorKind::Transient, StoreErrorKind::Slow];
    kind(error).is_some_and(|kind| passing.contains(&kind))
}

/// Whether a failure says nothing that is known here.
pub(super) fn is_unknown(error: &Error) -> bool {
    kind(error).is_none()
}

/// Whether it is the session's fault: on another one the same statement may succeed.
pub(super) fn is_of_session(error: &Error) -> bool {
    let Error::DatabaseError(DatabaseErrorKind::Unknown, info) = error else {
        return false;
    };
    let known = ["prepared statement", "cached plan"];
    known.iter().any(|known| info.message().contains(known))
}

/// Whether it lost against somebody who changes the same part of the schema.
pub(super) fn is_race(error: &Error) -> bool {
    let Error::DatabaseError(DatabaseErrorKind::Unknown, info) = error else {
        return false;
    };
    let known = ["tuple concurrently", "deadlock detected"];
    known.iter().any(|known| info.message().contains(known))
}

/// Whether a table has not got the constraint that a statement relies on.
pub(super) fn is_incomplete(error: &Error) -> bool {
    let Error::DatabaseError(DatabaseErrorKind::Unknown, info) = error else {
        return false;
    };
    info.message().contains(INCOMPLETE)
}

/// Whether the session waited for somebody else's lock as long as it may.
pub(super) fn is_lock_timeout(error: &Error) -> bool {
    let Error::DatabaseError(DatabaseErrorKind::Unknown, info) = error else {
        return false;
    };
    info.message().contains("due to lock timeout")
}

/// Whether a unique constraint refused the statement: a row exists already. An id that is taken says nothing of that.
pub(super) fn is_duplicate(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)
    ) && sequences::behind(error).is_none()
}

/// Whether the same transaction, begun again on the same connection, may succeed: it lost against another
/// one, or fails in a way that this room does not know.
pub(super) fn is_worth_another_try(error: &Error) -> bool {
    match error {
        Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        Error::DatabaseError(DatabaseErrorKind::Unknown, info) => {
            let message = info.message();
            by_message(message).is_none()
                || ["deadlock detected", "could not serialize"]
                    .iter()
                    .any(|known| message.contains(known))
        }
        _ => false,
    }
}

/// `None` for a message that is not known.
fn kind(error: &Error) -> Option<StoreErrorKind> {
    use DatabaseErrorKind as Kind;
    match error {
        Error::DatabaseError(Kind::Unknown, info) => by_message(info.message()),
        Error::DatabaseError(
            Kind::SerializationFailure
            | Kind::ReadOnlyTransaction
            | Kind::ClosedConnection
            | Kind::UnableToSendCommand,
            _,
        )
        | Error::BrokenTransactionManager => Some(StoreErrorKind::Transient),
        Error::DeserializationError(_) => Some(StoreErrorKind::Corrupt),
        _ => Some(StoreErrorKind::Refused),
    }
}

fn by_message(message: &str) -> Option<StoreErrorKind> {
    let known = MESSAGES.iter().find(|(text, _)| message.contains(text));
    known.map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(message: &str) -> Error {
        Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()))
    }

    #[test]
    fn messages_tell_what_helps() {
        let kind_of = |message: &str| statement("apply", &unknown(message)).kind;
        for trouble in [
            "could not read block 7 in file \"base/5/16385\": Input/output error",
            "could not open file \"base/5/16385.1\": Too many open files in system",
            "database is not accepting commands to avoid wraparound data loss in database \"app\"",
        ] {
            assert_eq!(kind_of(trouble), StoreErrorKind::Transient, "{trouble}");
        }
        for damage in [
            "invalid page in block 7 of relation base/5/16385",
            "missing chunk number 0 for toast value 16400 in pg_toast_16385",
            "index \"chrono_forge_workflows_pkey\" contains unexpected zero page at block 3",
        ] {
            assert_eq!(kind_of(damage), StoreErrorKind::Corrupt, "{damage}");
        }
        assert_eq!(kind_of("deadlock detected"), StoreErrorKind::Transient);
        assert_eq!(
            kind_of("canceling statement due to lock timeout"),
            StoreErrorKind::Transient
        );
        assert_eq!(
            kind_of("relation \"chrono_forge_workflows\" does not exist"),
            StoreErrorKind::Schema
        );
        assert_eq!(
            kind_of("invalid byte sequence for encoding \"UTF8\": 0x00"),
            StoreErrorKind::Refused
        );
    }

    #[test]
    fn who_may_not_log_in_is_told_at_once_and_what_to_do() {
        for (message, remedy) in [
            (
                "FATAL:  Peer authentication failed for user \"app\"",
                "127.0.0.1",
            ),
            (
                "FATAL:  LDAP authentication failed for user \"app\"",
                "pg_hba.conf",
            ),
            (
                "FATAL:  role \"app\" is not permitted to log in",
                "ALTER ROLE",
            ),
            (
                "FATAL:  password authentication failed for user \"app\"",
                "the password",
            ),
        ] {
            let told = connection("open", &ConnectionError::BadConnection(message.to_owned()));
            assert_eq!(told.kind, StoreErrorKind::Access, "{told}");
            assert!(told.message.contains(remedy), "{told}");
        }
    }

    #[test]
    fn what_is_not_known_is_tried_again_before_it_is_a_refusal() {
        let german = unknown("Verklemmung entdeckt");
        assert!(is_worth_another_try(&german));
        assert!(is_worth_another_try(&unknown("deadlock detected")));
        assert_eq!(statement("apply", &german).kind, StoreErrorKind::Refused);
        assert!(!is_worth_another_try(&unknown("permission denied")));
    }
}
