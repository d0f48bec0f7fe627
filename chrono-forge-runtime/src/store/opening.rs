//! From a URL to a store: which one is meant, and whether it is compiled in.

use std::sync::Arc;
use std::time::Duration;

use super::address::{self, Kind};
use super::{Store, StoreError, StoreErrorKind, StoreResult};

/// What every store is opened with.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Bring the schema up to date; otherwise an older one is refused.
    pub migrate: bool,
    /// The most connections that read at the same time.
    pub readers: u32,
    /// A write-ahead log of SQLite beyond this is cut off as soon as nobody reads it.
    pub wal_bytes_max: u64,
    /// The workers' lease; a server is asked to cut off what lasts half as long.
    pub lease: Duration,
    /// Whether this process executes runs, which takes more connections, and the right to write.
    pub executes: bool,
}

/// Opens the database that this URL means.
pub fn open(url: &str, options: OpenOptions) -> StoreResult<Arc<dyn Store>> {
    let (kind, url) = address::read(url).map_err(|error| refused(&error.to_string()))?;
    match kind {
        Kind::Postgres => postgres(&url, options),
        Kind::Sqlite => sqlite(&url, options),
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(url: &str, options: OpenOptions) -> StoreResult<Arc<dyn Store>> {
    use super::sqlite::{Location, SqliteOptions, SqliteStore};
    let parsed = Location::parse(url).map_err(|error| refused(&error.to_string()))?;
    let (location, synchronous) = parsed;
    let options = SqliteOptions {
        synchronous,
        migrate: options.migrate,
        readers: options.readers,
        wal_bytes_max: options.wal_bytes_max,
        executes: options.executes,
        ..SqliteOptions::new(location)
    };
    Ok(Arc::new(SqliteStore::open(options)?))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_url: &str, _options: OpenOptions) -> StoreResult<Arc<dyn Store>> {
    Err(refused(
        "no store for this URL is compiled in: enable the feature `sqlite`, or write \
         `postgres://user@host/database`",
    ))
}

#[cfg(feature = "postgres")]
fn postgres(url: &str, options: OpenOptions) -> StoreResult<Arc<dyn Store>> {
    let options = postgres_options(url, options)?;
    Ok(Arc::new(super::postgres::PostgresStore::open(options)?))
}

/// Opens the database that this pool's connections lead to; of the URL only our own parameters count.
#[cfg(feature = "postgres")]
pub fn open_pool(
    url: &str,
    options: OpenOptions,
    pool: super::postgres::DatabasePool,
) -> StoreResult<Arc<dyn Store>> {
    let executes = options.executes;
    let options = postgres_options(url, options)?;
    let store = super::postgres::PostgresStore::open_pool(options, pool, executes)?;
    Ok(Arc::new(store))
}

#[cfg(feature = "postgres")]
fn postgres_options(
    url: &str,
    options: OpenOptions,
) -> StoreResult<super::postgres::PostgresOptions> {
    let parsed = super::postgres::PostgresOptions::parse(url);
    let parsed = parsed.map_err(|error| refused(&error.to_string()))?;
    Ok(super::postgres::PostgresOptions {
        migrate: options.migrate,
        readers: options.readers,
        lease: options.lease,
        ..parsed
    })
}

#[cfg(not(feature = "postgres"))]
fn postgres(_url: &str, _options: OpenOptions) -> StoreResult<Arc<dyn Store>> {
    Err(refused(
        "no store for this URL is compiled in: enable the feature `postgres` (or `postgres-bundled`, \
         where libpq is not installed)",
    ))
}

fn refused(problem: &str) -> StoreError {
    StoreError::new("open", StoreErrorKind::Refused, problem)
}
