//! The connections that read: a few, opened when they are first needed, lent for one statement.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use diesel::prelude::*;

use super::connection::{self, Purpose};
use super::fault;
use crate::store::StoreResult;

/// A bounded set of reading connections.
pub(super) struct Readers {
    url: String,
    patience: Duration,
    most: u32,
    idle: Mutex<Idle>,
    returned: Condvar,
}

#[derive(Default)]
struct Idle {
    connections: Vec<SqliteConnection>,
    /// Connections that exist, lent ones included.
    open: u32,
}

impl Readers {
    pub(super) fn new(url: String, most: u32, patience: Duration) -> Self {
        let (idle, returned) = (Mutex::default(), Condvar::new());
        Self {
            url,
            patience,
            most: most.max(1),
            idle,
            returned,
        }
    }

    /// Lends a connection to `read`. A connection whose read failed is closed: it may be the cause.
    pub(super) fn with<T>(
        &self,
        operation: &'static str,
        mut read: impl FnMut(&mut SqliteConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        let mut lent = self.lend();
        let mut conn = match lent.conn.take() {
            Some(conn) => conn,
            None => connection::open(&self.url, Purpose::Read, self.patience)?,
        };
        let value = connection::patiently(self.patience, || read(&mut conn))
            .map_err(|error| fault::statement(operation, &error))?;
        lent.conn = Some(conn);
        Ok(value)
    }

    fn lend(&self) -> Lent<'_> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle = self
            .returned
            .wait_while(idle, |idle| {
                idle.connections.is_empty() && idle.open >= self.most
            })
            .unwrap_or_else(PoisonError::into_inner);
        let conn = idle.connections.pop();
        if conn.is_none() {
            idle.open += 1;
        }
        Lent { pool: self, conn }
    }
}

/// A place in the pool; comes back with its connection, or without when that was given up.
struct Lent<'a> {
    pool: &'a Readers,
    conn: Option<SqliteConnection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match self.conn.take() {
            Some(conn) => idle.connections.push(conn),
            None => idle.open -= 1,
        }
        self.pool.returned.notify_one();
    }
}
