//! The SQLite that is linked. It is compiled in, but one program has one SQLite: the version is the newest on which all
//! of its crates agree, or the system's where the build was told to take that.

use std::fmt;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::fault;
use super::statement::Stmt;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::telemetry::TARGET;

/// The oldest that everything here is tested with: what `libsqlite3-sys` 0.30.1 compiles in.
const OLDEST: Version = Version([3, 46, 0]);

/// From here on a log tells how long it is without being moved (`wal_checkpoint(NOOP)`); before, the unknown word means
/// a checkpoint.
const COUNTS_LOGS: Version = Version([3, 51, 0]);

/// From here on a checkpoint notices that the log was begun anew meanwhile. Before, one of two connections that write
/// and checkpoint at the same instant may lose commits: <https://sqlite.org/wal.html#walresetbug>.
const KEEPS_LOGS: Version = Version([3, 51, 3]);

/// Releases of older lines that have the same mend.
const KEEP_LOGS_TOO: [Version; 2] = [Version([3, 44, 6]), Version([3, 50, 7])];

/// The version of the library behind every connection of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version([u32; 3]);

impl Version {
    /// That of this connection's library, if it is new enough.
    pub(super) fn of(conn: &mut SqliteConnection) -> StoreResult<Self> {
        let asked = Stmt::<(Text,)>::new("SELECT sqlite_version()", &[]).load::<(String,)>(conn);
        let found = asked.map_err(|error| fault::statement("open", &error))?;
        let found = found.first().map_or("", |(version,)| version);
        Self::read(found)
            .filter(|version| *version >= OLDEST)
            .ok_or_else(|| too_old(found))
    }

    fn read(text: &str) -> Option<Self> {
        let mut numbers = [0; 3];
        let mut parts = text.split('.');
        for number in &mut numbers {
            *number = parts.next()?.parse().ok()?;
        }
        Some(Self(numbers))
    }

    /// See [`COUNTS_LOGS`].
    pub(super) fn counts_logs(self) -> bool {
        self >= COUNTS_LOGS
    }

    fn keeps_logs(self) -> bool {
        let Self([major, minor, patch]) = self;
        let is_mended = |mended: &Self| mended.0[..2] == [major, minor] && patch >= mended.0[2];
        self >= KEEPS_LOGS || KEEP_LOGS_TOO.iter().any(is_mended)
    }

    /// Says once what this version lacks, if it does.
    pub(super) fn tell(self) {
        static ONCE: std::sync::Once = std::sync::Once::new();
        if self.keeps_logs() {
            return;
        }
        ONCE.call_once(|| {
            tracing::warn!(target: TARGET, sqlite = %self, "the SQLite of this program may, very rarely, lose commits where several processes or connections write one file (mended in {KEEPS_LOGS}), and moves a large write-ahead log on the connection that writes: take a version of the other SQLite crate that allows libsqlite3-sys 0.37 or later (guide `beside`)");
        });
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

fn too_old(found: &str) -> StoreError {
    let message = format!(
        "SQLite {found} is linked, and {OLDEST} is the oldest that this crate works with: build without \
         `LIBSQLITE3_SYS_USE_PKG_CONFIG` and take `libsqlite3-sys` 0.30.1 or later, which compile a newer one in, or \
         install one"
    );
    StoreError::new("open", StoreErrorKind::Refused, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_that_is_too_old_is_refused_by_its_version_with_the_remedy() {
        for found in ["3.45.3", "3.7.17", "2.8.17", "nonsense", ""] {
            let version = Version::read(found).filter(|version| *version >= OLDEST);
            assert_eq!(version, None, "{found}");
            let error = too_old(found);
            assert_eq!(error.kind, StoreErrorKind::Refused);
            let words = [found, "3.46.0", "0.30.1", "LIBSQLITE3_SYS_USE_PKG_CONFIG"];
            for word in words {
                assert!(error.message.contains(word), "{error}");
            }
        }
    }

    #[test]
    fn what_a_version_lacks_is_known() {
        let lacks = |text: &str| {
            let version = Version::read(text).unwrap();
            assert!(version >= OLDEST, "{text}");
            (!version.counts_logs(), !version.keeps_logs())
        };
        assert_eq!(lacks("3.46.0"), (true, true));
        assert_eq!(lacks("3.50.6"), (true, true));
        assert_eq!(lacks("3.50.7"), (true, false));
        assert_eq!(lacks("3.51.2"), (false, true));
        assert_eq!(lacks("3.51.3"), (false, false));
        assert_eq!(lacks("3.100.0"), (false, false));
    }

    #[test]
    fn the_library_that_is_linked_is_new_enough() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        assert!(Version::of(&mut conn).is_ok());
    }
}
