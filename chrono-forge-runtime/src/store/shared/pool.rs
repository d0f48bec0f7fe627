//! A bounded set of connections, opened when they are first needed, lent for one piece of work.

use std::sync::{Condvar, Mutex, PoisonError};

/// See the module.
pub(in crate::store) struct Pool<C> {
    most: u32,
    idle: Mutex<Idle<C>>,
    returned: Condvar,
}

struct Idle<C> {
    connections: Vec<C>,
    /// Connections that exist, lent ones included.
    open: u32,
}

impl<C> Pool<C> {
    pub(in crate::store) fn new(most: u32) -> Self {
        let idle = Mutex::new(Idle {
            connections: Vec::new(),
            open: 0,
        });
        Self {
            most: most.max(1),
            idle,
            returned: Condvar::new(),
        }
    }

    /// Waits for a place.
    pub(in crate::store) fn lend(&self) -> Lent<'_, C> {
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
pub(in crate::store) struct Lent<'a, C> {
    pool: &'a Pool<C>,
    /// `None` where the borrower has to open one, or has given it up.
    pub(in crate::store) conn: Option<C>,
}

impl<C> Drop for Lent<'_, C> {
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
