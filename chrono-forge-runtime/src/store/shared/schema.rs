//! Embedded migrations: which are known, which are missing, and when a database is refused.

#[cfg(test)]
mod rules;

use std::time::Duration;

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource};
use diesel::result::{DatabaseErrorKind, Error};

use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::telemetry::TARGET;

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

/// A version that a database has.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Applied {
    pub(in crate::store) version: String,
    /// The oldest version whose binaries may still work on it; without it, none but those that know
    /// it.
    pub(in crate::store) oldest: Option<String>,
}

/// Migrations that only add to what older binaries know, each with the oldest version whose
/// binaries may go on beside it: a restart of theirs in the middle of a deploy is not refused.
pub(in crate::store) type Additive = &'static [(&'static str, &'static str)];

/// Those of this release.
pub(in crate::store) const ADDITIVE: Additive = &[
    ("20261202000011", "20261201000010"),
    ("20261202000012", "20261201000010"),
];

/// How to note that a migration was applied, and with what.
pub(in crate::store) fn note<DB: Backend>(
    migration: &dyn Migration<DB>,
    additive: Additive,
) -> (&'static str, Vec<String>) {
    let version = version(migration);
    let oldest = additive.iter().find(|(additive, _)| *additive == version);
    match oldest {
        None => (
            "INSERT INTO chrono_forge_schema_migrations (version) VALUES (?)",
            vec![version],
        ),
        Some((_, oldest)) => (
            "INSERT INTO chrono_forge_schema_migrations (version, oldest) VALUES (?, ?)",
            vec![version, (*oldest).to_owned()],
        ),
    }
}

/// How to ask for the versions of a database whose table of them has these columns; one without
/// columns has no version.
pub(in crate::store) fn versions(columns: &[(String,)]) -> Option<&'static str> {
    if columns.is_empty() {
        return None;
    }
    let names_oldest = columns.iter().any(|(column,)| column == "oldest");
    Some(match names_oldest {
        true => "SELECT version, oldest FROM chrono_forge_schema_migrations ORDER BY version",
        false => "SELECT version, NULL FROM chrono_forge_schema_migrations ORDER BY version",
    })
}

/// The rows of that.
pub(in crate::store) fn applied(rows: Vec<(String, Option<String>)>) -> Vec<Applied> {
    let row = |(version, oldest)| Applied { version, oldest };
    rows.into_iter().map(row).collect()
}

/// Why a database with these versions cannot be used.
pub(in crate::store) fn refusal<DB: Backend>(
    known: &Migrations<DB>,
    applied: &[Applied],
    migrate: bool,
) -> Option<String> {
    let names: Vec<String> = known.iter().map(|m| version(&**m)).collect();
    let newest = names.last()?;
    let is_foreign = |applied: &&Applied| {
        let admits = |oldest: &String| oldest <= newest;
        !names.contains(&applied.version) && !applied.oldest.as_ref().is_some_and(admits)
    };
    if let Some(Applied { version, .. }) = applied.iter().find(is_foreign) {
        return Some(format!(
            "the database has schema version {version}, which is newer than this binary knows: \
             upgrade the binary"
        ));
    }
    let missing = names.iter().find(|name| !has(applied, name))?;
    (!migrate).then(|| {
        format!(
            "the database lacks schema version {missing} and this process may not migrate it: \
             open it once without `verify_only()`, under a role that may"
        )
    })
}

/// The migrations that a database with these versions lacks.
pub(in crate::store) fn missing<'known, DB: Backend>(
    known: &'known Migrations<DB>,
    applied: &[Applied],
) -> impl Iterator<Item = &'known dyn Migration<DB>> {
    known
        .iter()
        .map(|migration| &**migration)
        .filter(|migration| !has(applied, &version(*migration)))
}

/// Why the newest version of a database stays, although this binary undoes what it has done.
pub(in crate::store) fn not_to_undo(version: &str) -> String {
    format!("schema version {version} is undone by the binary that knows it, which is a newer one")
}

/// Tells what was done to a schema that had these versions and has those now; nothing if that is
/// nothing.
pub(in crate::store) fn tell(
    before: &[Applied],
    after: &[Applied],
    schema: Option<&str>,
    took: Duration,
) {
    let [from, to] = [before, after].map(|versions| versions.last().map(|it| &*it.version));
    match (from, to) {
        (None, Some(version)) => {
            tracing::info!(target: TARGET, schema, version, "the schema was created");
        }
        (Some(from), Some(to)) if from != to => {
            tracing::info!(target: TARGET, schema, from, to, ?took, "the schema was brought up to date");
        }
        _ => {}
    }
}

pub(in crate::store) fn has(applied: &[Applied], version: &str) -> bool {
    applied.iter().any(|applied| applied.version == version)
}

/// A migration's error as the database's, which it quotes: so that a busy or a full database stays
/// recognizable.
pub(in crate::store) fn unboxed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(error.to_string()))
}

/// Indexes that statements rely on, on every database; those of constraints have names of the database's own.
pub(in crate::store) const INDEXES: [&str; 9] = [
    "chrono_forge_workflows_identity",
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
            "this database lacks the index `{names}`, or the constraint of that name, or it is not valid: statements rely \
             on it; create it as the migration of this release does (REINDEX INDEX if it is there)"
        )
    })
}
