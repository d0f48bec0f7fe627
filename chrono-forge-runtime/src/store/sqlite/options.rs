//! How to open a file.

use std::time::Duration;

use super::location::{Location, Synchronous};

/// How to open a database.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub location: Location,
    /// What a commit survives.
    pub synchronous: Synchronous,
    /// Bring the schema up to date; otherwise an older one is refused.
    pub migrate: bool,
    /// The most connections that read at the same time.
    pub readers: u32,
    /// A write-ahead log beyond this is cut off as soon as nobody reads it.
    pub wal_bytes_max: u64,
    /// Whether a worker will write here; who only looks may do with less rights.
    pub executes: bool,
    /// How long a call waits for another process's transaction before it fails as transient.
    pub busy_timeout: Duration,
    /// How the lock of a file is taken.
    pub try_lock: fn(&std::fs::File) -> Result<(), std::fs::TryLockError>,
}

impl SqliteOptions {
    /// The defaults: synchronous, migrate, four readers, five seconds of patience.
    #[must_use]
    pub fn new(location: Location) -> Self {
        Self {
            location,
            synchronous: Synchronous::default(),
            migrate: true,
            readers: 4,
            wal_bytes_max: 64 << 20,
            executes: true,
            busy_timeout: Duration::from_secs(5),
            try_lock: std::fs::File::try_lock,
        }
    }
}
