//! Embedded migrations: which are known, which are missing, and when a database is refused.

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource};
use diesel::result::{DatabaseErrorKind, Error};

use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;

pub(in crate::store) type Migrations<DB> = Vec<Box<dyn Migration<DB>>>;

/// The embedded migrations, oldest first.
pub(in crate::store) fn migrations<DB: Backend>(
    embedded: &impl MigrationSource<DB>,
) -> StoreResult<Migrations<DB>> {
    let mut all: Migrations<DB> = embedded
        .migrations()
        .map_err(|error| StoreError::new("open", StoreErrorKind::Schema, error))?;
    all.sort_by_key(|migration| version(&**migration));
    Ok(all)
}

pub(in crate::store) fn version<DB: Backend>(migration: &dyn Migration<DB>) -> String {
    migration.name().version().to_string()
}

/// Why a database with these versions cannot be used.
pub(in crate::store) fn refusal<DB: Backend>(
    known: &Migrations<DB>,
    applied: &[String],
    migrate: bool,
) -> Option<String> {
    let names: Vec<String> = known.iter().map(|m| version(&**m)).collect();
    if let Some(newer) = applied.iter().find(|version| !names.contains(version)) {
        return Some(format!(
            "the database has schema version {newer}, which is newer than this binary knows: \
             upgrade the binary"
        ));
    }
    let missing = names.iter().find(|version| !applied.contains(version))?;
    (!migrate).then(|| {
        format!(
            "the database lacks schema version {missing} and this process may not migrate it: \
             open it once without `verify_only()`, under a role that may"
        )
    })
}

/// The migrations that a database with these versions lacks.
pub(in crate::store) fn missing<'a, DB: Backend>(
    known: &'a Migrations<DB>,
    applied: &'a [String],
) -> impl Iterator<Item = &'a dyn Migration<DB>> {
    known
        .iter()
        .map(|migration| &**migration)
        .filter(|migration| !applied.contains(&version(*migration)))
}

/// A migration's error as the database's, which it quotes: so that a busy or a full database stays
/// recognizable.
pub(in crate::store) fn unboxed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(error.to_string()))
}

/// Indexes that statements rely on, on every database; those of constraints have names of the database's own.
pub(in crate::store) const INDEXES: [&str; 8] = [
    "chrono_forge_workflows_ready",
    "chrono_forge_workflows_parent",
    "chrono_forge_workflows_listing",
    "chrono_forge_execution_logs_open",
    "chrono_forge_error_logs_attempt",
    "chrono_forge_workers_live",
    "chrono_forge_blocked_children",
    "chrono_forge_audits_due",
];

/// The refusal of a database that lacks these.
pub(in crate::store) fn missing_indexes(missing: &[&str]) -> Option<String> {
    let names = missing.join("`, `");
    (!missing.is_empty()).then(|| {
        format!(
            "this database lacks the index `{names}`, or the constraint of that name, or it is not valid: statements rely              on it; create it as the migration of this release does (REINDEX INDEX if it is there)"
        )
    })
}
