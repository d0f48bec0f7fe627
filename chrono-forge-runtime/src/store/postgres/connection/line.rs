//! One connection to the server: our own, or lent by the application's pool.

use diesel::ConnectionError;
use diesel::connection::{CacheSize, SimpleConnection};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection};

use super::{Setting, Source};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::postgres::{PostgresOptions, fault, servers};

/// The application's own pool of connections.
pub type DatabasePool = Pool<ConnectionManager<PgConnection>>;

/// See the module. It closes, or goes back to its pool, when it is dropped.
pub(super) enum Line {
    Own(Box<PgConnection>),
    Lent(Box<PooledConnection<ConnectionManager<PgConnection>>>),
}

impl Line {
    /// Opens one to the server that the others are with, or to one that they go over to; answers which generation that
    /// is. What is lent, or leads through a pooler, is told its settings in each transaction anew.
    pub(super) fn open(source: &Source, settings: &[Setting]) -> StoreResult<(Self, u64)> {
        if let Some(pool) = &source.pool {
            return Self::lend(source, pool);
        }
        let url = &source.options.url;
        let refusal = match Self::admitted(source, settings, url) {
            Err(refusal) if refusal.is_transient() => refusal,
            done => return done,
        };
        // The host that stands first may be the one that was left, or close the door on whoever comes.
        let others = servers::each_host(url);
        let mut others = others
            .iter()
            .map(|url| Self::admitted(source, settings, url));
        others.find_map(Result::ok).ok_or(refusal)
    }

    fn admitted(source: &Source, settings: &[Setting], url: &str) -> StoreResult<(Self, u64)> {
        let mut line = Self::establish(source, settings, url)?;
        let generation = source.servers.admit(servers::ask(line.conn()))?;
        Ok((line, generation))
    }

    fn lend(source: &Source, pool: &DatabasePool) -> StoreResult<(Self, u64)> {
        let mut lent = pool
            .get()
            .map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))?;
        let found = servers::ask(&mut lent);
        match source.servers.admit(found) {
            Ok(generation) => Ok((Self::Lent(Box::new(lent)), generation)),
            Err(refusal) => {
                // The pool finds it broken, and opens another.
                let _ = lent.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())");
                Err(refusal)
            }
        }
    }

    fn establish(source: &Source, settings: &[Setting], url: &str) -> StoreResult<Self> {
        let options = &source.options;
        let mut conn = PgConnection::establish(url).map_err(|error| refused(options, &error))?;
        if options.pooler {
            // A statement that is prepared in one session is not there in the next.
            conn.set_prepared_statement_cache_size(CacheSize::Disabled);
        } else {
            let settings: String = settings
                .iter()
                .map(|(name, value)| format!("SET {name} TO {value};"))
                .collect();
            conn.batch_execute(&settings)
                .map_err(|error| fault::statement("open", &error))?;
        }
        Ok(Self::Own(Box::new(conn)))
    }

    pub(super) fn conn(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(conn) => conn,
            Self::Lent(conn) => conn,
        }
    }
}

/// A server without room may have some soon, or never: who is told can count.
fn refused(options: &PostgresOptions, error: &ConnectionError) -> StoreError {
    let mut told = fault::connection("open", error);
    if fault::is_crowded(error) {
        let (working, idle) = (options.connections(true), options.connections(false));
        let listening = if options.notify {
            ", and one that listens"
        } else {
            ""
        };
        told.message += &format!(
            ": an engine keeps up to {working} connections ({idle} with `.worker(false)`){listening}: raise \
             `max_connections` of the server or the limit of the role or the database, end what nobody needs, or \
             ask for fewer (`.readers(..)`, `writers=` in the URL)"
        );
    }
    told
}
