//! The connections that read: a few, lent for one statement.

use std::time::Duration;

use diesel::prelude::*;

use super::connection::{self, Purpose};
use super::fault;
use super::identity::Identity;
use crate::store::StoreResult;
use crate::store::shared::pool::Pool;

/// A bounded set of reading connections.
pub(super) struct Readers {
    url: String,
    patience: Duration,
    pool: Pool<SqliteConnection>,
    identity: Identity,
}

impl Readers {
    pub(super) fn new(url: String, most: u32, patience: Duration, identity: Identity) -> Self {
        Self {
            url,
            patience,
            pool: Pool::new(most),
            identity,
        }
    }

    /// Closes what waits here, and from now on whatever comes back.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Lends a connection to `read`. A connection whose read failed is closed: it may be the cause.
    pub(super) fn with<T>(
        &self,
        operation: &'static str,
        mut read: impl FnMut(&mut SqliteConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        self.identity.glance(operation)?;
        let mut lent = self.pool.lend();
        let mut conn = match lent.conn.take() {
            Some(conn) => conn,
            None => {
                self.identity.look(operation)?;
                let opened = connection::open(&self.url, Purpose::Read, self.patience);
                let conn = opened.map_err(|error| self.identity.explained(error))?;
                self.identity.look(operation)?;
                conn
            }
        };
        let value = connection::patiently(self.patience, || read(&mut conn))
            .map_err(|error| fault::statement(operation, &error))?;
        lent.conn = Some(conn);
        Ok(value)
    }
}
