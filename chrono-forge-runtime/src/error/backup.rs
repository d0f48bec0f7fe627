//! Why a database could not be copied.

use std::io;
use std::path::PathBuf;

use super::{Error, StoreError};

/// `forge.backup` failed. Nothing stands at the path that was asked for, except what stood there
/// before.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A backup replaces nothing.
    #[error(
        "there is a file at {} already, and a backup replaces nothing: name another path, or move that file away first",
        path.display()
    )]
    Exists { path: PathBuf },

    /// A database that is gone from there has left its log or its journal, and SQLite would take it
    /// for the copy's.
    #[error(
        "{} was left behind by another database, and SQLite would read it into the backup: name another path, or move that file away first",
        left.display()
    )]
    LeftBehind { path: PathBuf, left: PathBuf },

    /// The copy would be written over what it is a copy of.
    #[error(
        "{} is the database itself, or belongs to it: name a path of the backup's own, best on another disk",
        path.display()
    )]
    IsTheDatabase { path: PathBuf },

    /// The database is not a file, nor in memory.
    #[error(
        "only an SQLite database is copied to a file: PostgreSQL has backups of its own (`pg_dump`, or `pg_basebackup` for a whole server), and `forge.export` writes the runs of any database to a file"
    )]
    Unsupported,

    /// The copy does not fit. What was written of it is removed.
    #[error(
        "the disk that {} is on is full; what was written is removed: make room for {bytes} bytes, or name a path on another disk",
        path.display()
    )]
    Full {
        path: PathBuf,
        /// What the copy needs at most.
        bytes: u64,
    },

    /// The copy could not be written.
    #[error("the backup could not be written to {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },

    /// The database could not be read.
    #[error(transparent)]
    Forge(#[from] Error),
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Forge(error.into())
    }
}
