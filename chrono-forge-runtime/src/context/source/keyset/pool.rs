//! Where the connections of a keyset come from.

use std::ops::DerefMut;
use std::sync::Arc;

use diesel::Connection;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection, R2D2Connection};

use crate::context::state::State;

/// What gives connections to a [`Keyset`](super::Keyset): Diesel's r2d2 pool, or a closure that answers
/// something that dereferences to a connection.
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no connections to a `Keyset`",
    note = "a pool is an r2d2 `Pool<ConnectionManager<_>>` of Diesel's, an `Arc` or a `State` of one, or a closure: `|| PgConnection::establish(URL).map(Box::new)`"
)]
pub trait Connections: Clone + Send + 'static {
    /// The connection.
    type Connection: Connection;
    /// A connection that is lent, and given back when it is dropped.
    type Lent: DerefMut<Target = Self::Connection>;

    /// Waits for a connection. Runs on a thread that may block.
    ///
    /// # Errors
    /// Whatever keeps the pool from giving one; the branch's policy tries again.
    fn lend(&self) -> Result<Self::Lent, anyhow::Error>;
}

impl<C: R2D2Connection + 'static> Connections for Pool<ConnectionManager<C>> {
    type Connection = C;
    type Lent = PooledConnection<ConnectionManager<C>>;

    fn lend(&self) -> Result<Self::Lent, anyhow::Error> {
        Ok(self.get()?)
    }
}

impl<F, G, E> Connections for F
where
    F: Fn() -> Result<G, E> + Clone + Send + 'static,
    G: DerefMut,
    G::Target: Connection + Sized,
    E: Into<anyhow::Error>,
{
    type Connection = G::Target;
    type Lent = G;

    fn lend(&self) -> Result<G, anyhow::Error> {
        self().map_err(Into::into)
    }
}

impl<P: Connections + Sync> Connections for Arc<P> {
    type Connection = P::Connection;
    type Lent = P::Lent;

    fn lend(&self) -> Result<P::Lent, anyhow::Error> {
        (**self).lend()
    }
}

impl<P: Connections + Sync> Connections for State<P> {
    type Connection = P::Connection;
    type Lent = P::Lent;

    fn lend(&self) -> Result<P::Lent, anyhow::Error> {
        (**self).lend()
    }
}
