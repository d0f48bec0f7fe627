//! One connection to the server: our own, or lent by the application's pool.

use diesel::ConnectionError;
use diesel::connection::{CacheSize, SimpleConnection};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection};

use super::{Setting, Source};
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::postgres::{PostgresOptions, fault};

/// The application's own pool of connections.
pub type DatabasePool = Pool<ConnectionManager<PgConnection>>;

/// See the module. It closes, or goes back to its pool, when it is dropped.
pub(super) enum Line {
    Own(Box<PgConnection>),
    Lent(Box<PooledConnection<ConnectionManager<PgConnection>>>),
}

impl Line {
    /// Opens one. What is lent, or leads through a pooler, is told its settings in each transaction anew.
    pub(super) fn open(source: &Source, settings: &[Setting]) -> StoreResult<Self> {
        if let Some(pool) = &source.pool {
            let lent = pool
                .get()
                .map_err(|error| StoreError::new("open", StoreErrorKind::Transient, error))?;
            return Ok(Self::Lent(Box::new(lent)));
        }
        let options = &source.options;
        let mut conn =
            PgConnection::establish(&options.url).map_err(|error| refused(options, &error))?;
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
