//! Where connections come from that are the application's: its r2d2 pool, or whatever lends them.

use std::fmt::{self, Display};
use std::ops::DerefMut;
use std::sync::Arc;

use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};

/// The application's own pool of connections.
pub type DatabasePool = Pool<ConnectionManager<PgConnection>>;

/// A connection that goes back when it is dropped: whatever dereferences to Diesel's
/// `PgConnection`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no connection that an engine can work on",
    note = "it has to dereference to Diesel's `PgConnection`; a pool of other connections stays beside the engine, which takes the URL and opens its own"
)]
pub trait LentConnection: DerefMut<Target = PgConnection> + Send + 'static {}

impl<C: DerefMut<Target = PgConnection> + Send + 'static> LentConnection for C {}

/// One of these.
pub(super) type Borrowed = Box<dyn DerefMut<Target = PgConnection> + Send>;

type Lend = dyn Fn() -> Result<Borrowed, String> + Send + Sync;

/// See the module.
#[derive(Clone)]
pub struct Lender {
    most: u32,
    lend: Arc<Lend>,
    /// What is told of it while somebody waits.
    state: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Lender {
    /// One that lends so many connections at most, each by a call of this.
    pub fn new<C, E>(most: u32, lend: impl Fn() -> Result<C, E> + Send + Sync + 'static) -> Self
    where
        C: LentConnection,
        E: Display,
    {
        Self {
            most,
            lend: Arc::new(move || match lend() {
                Ok(conn) => Ok(Box::new(conn)),
                Err(error) => Err(error.to_string()),
            }),
            state: Arc::new(String::new),
        }
    }

    /// A pool of Diesel's.
    #[must_use]
    pub fn of_pool(pool: DatabasePool) -> Self {
        let most = pool.max_size();
        let told = pool.clone();
        let state = move || {
            let state = told.state();
            let (open, idle) = (state.connections, state.idle_connections);
            format!(", of which {open} are open and {idle} idle")
        };
        Self {
            state: Arc::new(state),
            ..Self::new(most, move || pool.get())
        }
    }

    /// The most connections that it lends at the same time.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Waits for one.
    pub(super) fn lend(&self) -> Result<Borrowed, String> {
        (self.lend)()
    }

    /// How many it lends, in words.
    pub(super) fn told(&self) -> String {
        format!("{} connections{}", self.most, (self.state)())
    }
}

impl fmt::Debug for Lender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lender(of {})", self.most)
    }
}
