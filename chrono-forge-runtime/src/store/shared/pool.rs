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
    /// What comes back is not kept.
    closed: bool,
}

impl<C> Pool<C> {
    pub(in crate::store) fn new(most: u32) -> Self {
        let idle = Mutex::new(Idle {
            connections: Vec::new(),
            open: 0,
            closed: false,
        });
        Self {
            most: most.max(1),
            idle,
            returned: Condvar::new(),
        }
    }

    /// Gives up what waits here, and from now on whatever comes back.
    pub(in crate::store) fn close(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.closed = true;
        let left = std::mem::take(&mut idle.connections);
        idle.open -= u32::try_from(left.len()).unwrap_or(idle.open);
        drop(idle);
        // Saying goodbye to a server takes a moment.
        drop(left);
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
        let given_up = match self.conn.take() {
            Some(conn) if !idle.closed => {
                idle.connections.push(conn);
                None
            }
            conn => {
                idle.open -= 1;
                conn
            }
        };
        drop(idle);
        self.pool.returned.notify_one();
        drop(given_up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_lent_again_until_the_pool_is_closed() {
        let pool = Pool::new(2);
        let mut lent = pool.lend();
        assert_eq!(lent.conn, None);
        lent.conn = Some("first");
        drop(lent);
        let (lent, mut other) = (pool.lend(), pool.lend());
        assert_eq!((lent.conn, other.conn), (Some("first"), None));
        other.conn = Some("second");
        drop(other);
        pool.close();
        drop(lent);
        // Both places are free, and nothing is left in them.
        let mut all = [pool.lend(), pool.lend()];
        assert!(all.iter().all(|lent| lent.conn.is_none()));
        all[0].conn = Some("third");
        drop(all);
        assert_eq!(pool.lend().conn, None);
    }
}
