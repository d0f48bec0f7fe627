//! Sequences that are behind their rows, as where a logical replica has taken over, which gets rows and no sequences.
//!
//! An id that is taken is refused by the primary key of its table, which is told from any other duplicate by the
//! constraint's name. The sequence is then brought up to the rows, where the role may do that, and the transaction
//! begun again; at `open` all of them are looked at.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Text};

use super::connection::{PATIENCE, Purpose, Source};
use super::statement::Stmt;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::telemetry::TARGET;

/// A table whose ids come from a sequence, and what brings that up to the rows: not below what it
/// had given out when it was asked. Of what others take just then it may give some out again, which
/// the next insert finds and mends in the same way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    key: &'static str,
    name: &'static str,
    advance: &'static str,
}

macro_rules! sequences {
    ($($table:literal)*) => {
        const SEQUENCES: &[Sequence] = &[$(Sequence {
            key: concat!("chrono_forge_", $table, "_pkey"),
            name: concat!("chrono_forge_", $table, "_id_seq"),
            advance: concat!(
                "SELECT setval('chrono_forge_", $table, "_id_seq', greatest(max(id),
                    pg_sequence_last_value('chrono_forge_", $table, "_id_seq'), 1))
                FROM chrono_forge_", $table
            ),
        }),*];

        /// Those that are behind, by name. Who only reads may not be allowed to know.
        const BEHIND: &str = concat!("SELECT name FROM (", $("
            SELECT 'chrono_forge_", $table, "_id_seq' AS name
            FROM (SELECT max(id) AS last FROM chrono_forge_", $table, ") AS rows
            WHERE rows.last > CASE
                WHEN has_sequence_privilege('chrono_forge_", $table, "_id_seq', 'USAGE, SELECT')
                THEN coalesce(pg_sequence_last_value('chrono_forge_", $table, "_id_seq'), 0) END
            UNION ALL ",)* "SELECT NULL) AS s WHERE name IS NOT NULL");
    };
}

sequences! {
    "workflows"
    "execution_logs"
    "error_logs"
    "workers"
    "claims"
}

/// The sequence that is behind, if that is why this failed.
pub(super) fn behind(error: &Error) -> Option<Sequence> {
    let Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info) = error else {
        return None;
    };
    let key = info.constraint_name()?;
    SEQUENCES
        .iter()
        .find(|sequence| sequence.key == key)
        .copied()
}

impl Sequence {
    /// Brings it up to the rows.
    pub(super) fn advance(self, conn: &mut PgConnection) -> QueryResult<()> {
        Stmt::<(BigInt,)>::new(self.advance, &[]).load::<(i64,)>(conn)?;
        tracing::warn!(target: TARGET, sequence = self.name, "the sequence was behind the rows of its table, and was brought up to them");
        Ok(())
    }

    /// What somebody has to do where this role may not.
    pub(super) fn refusal(self, operation: &'static str, why: &StoreError) -> StoreError {
        let message = format!(
            "the sequence {} is behind the rows of its table, as where a logical replica has taken over, and this \
             role may not set it ({}): let one that may run `{};`",
            self.name,
            why.message,
            self.advance
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        );
        StoreError::new(operation, StoreErrorKind::Schema, message)
    }
}

/// Those that are behind; at `open`.
pub(super) fn find(conn: &mut PgConnection) -> QueryResult<Vec<Sequence>> {
    let names: Vec<(String,)> = Stmt::<(Text,)>::new(BEHIND, &[]).load(conn)?;
    let known = |(name,): &(String,)| SEQUENCES.iter().find(|sequence| sequence.name == name);
    Ok(names.iter().filter_map(known).copied().collect())
}

/// Brings these up to their rows.
pub(super) fn mend(source: &Source, found: &[Sequence]) -> StoreResult<()> {
    let mut session = source.session(Purpose::Write);
    for sequence in found {
        session
            .transaction("open", PATIENCE, true, |conn| sequence.advance(conn))
            .map_err(|error| match error.is_transient() {
                true => error,
                false => sequence.refusal("open", &error),
            })?;
    }
    Ok(())
}
