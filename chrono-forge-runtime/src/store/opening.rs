//! From a URL to a store: which one is meant, and whether it is compiled in.

use std::sync::Arc;
use std::time::Duration;

use super::address::{self, Kind};
use super::caller::Caller;
use super::{Store, StoreError, StoreErrorKind, StoreResult};

/// What every store is opened with.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Whose sessions these are, for the operator of a server; the crate's, if nobody's.
    pub name: Option<String>,
    /// Bring the schema up to date; otherwise an older one is refused.
    pub migrate: bool,
    /// The most connections that read at the same time, if that is not the URL's to say.
    pub readers: Option<u32>,
    /// The same of those that commit, where several can.
    pub writers: Option<u32>,
    /// How long a server is waited for that is not up yet.
    pub timeout: Duration,
    /// A write-ahead log of SQLite beyond this is cut off as soon as nobody reads it.
    pub wal_bytes_max: u64,
    /// The workers' lease; a server is asked to cut off what lasts half as long.
    pub lease: Duration,
    /// Whether this process executes runs, which takes more connections, and the right to write.
    pub executes: bool,
    /// Who waits for the database to be opened.
    pub caller: Caller,
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
    let defaults = SqliteOptions::new(location);
    let options = SqliteOptions {
        synchronous,
        migrate: options.migrate,
        readers: options.readers.unwrap_or(defaults.readers),
        wal_bytes_max: options.wal_bytes_max,
        executes: options.executes,
        ..defaults
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
pub fn open_lent(
    url: &str,
    options: OpenOptions,
    lender: super::postgres::Lender,
) -> StoreResult<Arc<dyn Store>> {
    let (_, url) = address::read(url).map_err(|error| refused(&error.to_string()))?;
    let options = postgres_options(&url, options)?;
    let store = super::postgres::PostgresStore::open_lent(options, lender)?;
    Ok(Arc::new(store))
}

#[cfg(feature = "postgres")]
fn postgres_options(
    url: &str,
    options: OpenOptions,
) -> StoreResult<super::postgres::PostgresOptions> {
    let parsed = super::postgres::PostgresOptions::parse(url);
    let parsed = parsed.map_err(|error| refused(&error.to_string()))?;
    let writers = options.writers.map(super::postgres::writers);
    Ok(super::postgres::PostgresOptions {
        migrate: options.migrate,
        readers: options.readers.unwrap_or(parsed.readers),
        writers: writers.unwrap_or(parsed.writers),
        open_timeout: options.timeout,
        executes: options.executes,
        name: options.name.unwrap_or(parsed.name),
        lease: options.lease,
        caller: options.caller,
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
