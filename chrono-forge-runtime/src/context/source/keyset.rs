//! Rows of a table, page by page in the order of their primary key.
//!
//! This room names Diesel's traits, and no SQL of ours: it asks the user's database in the user's own
//! query language. The engine's tables are none of its business.

mod composite;
mod key;
mod pool;
mod position;
mod query;
mod rows;

use std::fmt;
use std::marker::PhantomData;

use diesel::Table;
use diesel::associations::HasTable;

pub use composite::{Columns, CompositeKey, CompositeKeyOf};
use key::KeyOf;
pub use key::{Named, Natural, NaturalKey, RowKey};
pub use pool::Connections;
use query::{KeyColumns, ReadPage, Reader};
pub use query::{KeysetQuery, PrimaryKeyOf};
pub use rows::{KeysetRows, ViaKeyset};

/// The columns of a query's table, which is what a [`Keyset`] selects unless it is told.
type AllColumns<Q> = <<Q as HasTable>::Table as Table>::AllColumns;

/// The rows of a Diesel query as a source of `spawn_each!`, read page by page over a pool of your own, from
/// any database that Diesel speaks to.
///
/// A page is `WHERE <filters> AND pk > <cursor> ORDER BY pk LIMIT <of>`: each costs what it reads, however
/// far it is into the table. Children are keyed by primary key, and the key of the last one is the durable
/// cursor, so that after a crash reading goes on behind it. The closure gets what the selection loads as;
/// `.select(Customer::as_select())` says the type, otherwise the closure names it.
///
/// ```
/// # mod chrono_forge { pub use chrono_forge_runtime::context::source::Keyset; }
/// use chrono_forge::Keyset;
/// use diesel::prelude::*;
/// use diesel::r2d2::{ConnectionManager, Pool};
///
/// diesel::table! {
///     customers (id) {
///         id -> BigInt,
///         name -> Text,
///         active -> Bool,
///     }
/// }
///
/// #[derive(Queryable, Selectable)]
/// struct Customer {
///     id: i64,
///     name: String,
/// }
///
/// # fn example(pool: Pool<ConnectionManager<SqliteConnection>>) {
/// let source = Keyset::new(customers::table.filter(customers::active.eq(true)), customers::id)
///     .select(Customer::as_select())
///     .pool(&pool);
/// // spawn_each!("customer", source, |customer| send_invoice(customer.id))
/// # }
/// ```
///
/// # While the table changes
///
/// Every row that is in the query's result from before the dispatch begins until it passes has a child. A
/// row that enters meanwhile has one if its key is above the cursor, and none if it is below, unless the
/// rows are read twice: [`Keyset::snapshot`]. A row that leaves after its child was dispatched keeps it; one
/// that leaves between its reading and that commit has a child unless a crash comes between, too. Once the
/// branch is sealed the table is read no more.
///
/// # Errors
///
/// A pool that gives no connection and a query that fails are errors of the block, tried again from the
/// cursor by the policy of the `branch!`. So is a [`KeysetError`](crate::error::KeysetError), for keys that
/// cannot be a cursor.
pub struct Keyset<Q, PK, S, K = Natural> {
    query: Q,
    column: PK,
    selection: S,
    is_snapshot: bool,
    _key: PhantomData<fn() -> K>,
}

impl<Q, PK> Keyset<Q, PK, AllColumns<Q>>
where
    Q: KeysetQuery,
    PK: PrimaryKeyOf<Q::Table>,
{
    /// The rows of `query`, a table or a table with filters, in the order of its primary key. The query
    /// owns what it compares with.
    pub fn new(query: Q, primary_key: PK) -> Self {
        Self {
            query,
            column: primary_key,
            selection: <Q::Table as Table>::all_columns(),
            is_snapshot: false,
            _key: PhantomData,
        }
    }

    /// As [`Keyset::new`], for a table whose rows may enter anywhere while they are dispatched. Before the
    /// branch is sealed the rows are read a second time from the start, and those without a child get one:
    /// the closure runs for them alone, behind all others.
    ///
    /// So every row that is in the query's result from before the first reading ends until the second one
    /// passes it has a child. What enters behind the second reading is missed, what leaves keeps its
    /// child. A row counts from the commit of its transaction.
    ///
    /// The second reading takes as many pages, each with one more look into the engine's own database.
    pub fn snapshot(query: Q, primary_key: PK) -> Self {
        Self {
            is_snapshot: true,
            ..Self::new(query, primary_key)
        }
    }
}

impl<Q, PK> Keyset<Q, Columns<PK>, AllColumns<Q>>
where
    Q: KeysetQuery,
    PK: CompositeKeyOf<Q::Table>,
{
    /// As [`Keyset::new`], for a primary key of two to four columns, which are given as a tuple in
    /// their order. Children are keyed by all of them, as `17,3`.
    ///
    /// A page is `WHERE (a, b) > (?, ?) ORDER BY a, b`, so it costs what it reads on SQLite and
    /// PostgreSQL; MySQL has an older optimizer for that comparison and may read more.
    ///
    /// ```
    /// # mod chrono_forge { pub use chrono_forge_runtime::context::source::Keyset; }
    /// use chrono_forge::Keyset;
    /// use diesel::prelude::*;
    /// use diesel::r2d2::{ConnectionManager, Pool};
    ///
    /// diesel::table! {
    ///     lines (order_id, line_no) {
    ///         order_id -> BigInt,
    ///         line_no -> Integer,
    ///         sku -> Text,
    ///     }
    /// }
    ///
    /// # fn example(pool: Pool<ConnectionManager<SqliteConnection>>) {
    /// let key = (lines::order_id, lines::line_no);
    /// let source = Keyset::composite(lines::table, key).select(lines::sku);
    /// let source = source.pool::<_, _, String>(&pool);
    /// // spawn_each!("line", source, |sku| reserve(sku))
    /// # }
    /// ```
    pub fn composite(query: Q, primary_key: PK) -> Self {
        Self {
            query,
            column: Columns(primary_key),
            selection: <Q::Table as Table>::all_columns(),
            is_snapshot: false,
            _key: PhantomData,
        }
    }

    /// As [`Keyset::composite`], read twice as [`Keyset::snapshot`] is.
    pub fn composite_snapshot(query: Q, primary_key: PK) -> Self {
        Self {
            is_snapshot: true,
            ..Self::composite(query, primary_key)
        }
    }
}

impl<Q, PK, S, K> Keyset<Q, PK, S, K> {
    /// What to select of each row, as `Customer::as_select()`; the columns of the table, unless told.
    pub fn select<T>(self, selection: T) -> Keyset<Q, PK, T, K> {
        Keyset {
            query: self.query,
            column: self.column,
            selection,
            is_snapshot: self.is_snapshot,
            _key: PhantomData,
        }
    }

    /// The Rust type of the key, where it is not `i16`, `i32`, `i64` or `String`, as in
    /// `.key::<Uuid>()`. Different keys must display differently: what a key displays is the end of its
    /// child's key. Of several columns it is `.key::<CompositeKey<(Uuid, i32)>>()`.
    pub fn key<T: RowKey>(self) -> Keyset<Q, PK, S, Named<T>> {
        Keyset {
            query: self.query,
            column: self.column,
            selection: self.selection,
            is_snapshot: self.is_snapshot,
            _key: PhantomData,
        }
    }

    /// What gives connections, which makes it a source: an r2d2 pool of Diesel's, an
    /// [`Arc`](std::sync::Arc) or a [`State`](crate::context::state::State) of one, or a closure that
    /// opens a connection or borrows one. Each page takes one for as long as it is read, on a thread
    /// that may block.
    pub fn pool<P, N, R>(self, pool: &P) -> KeysetRows<N, R>
    where
        P: Connections,
        PK: KeyColumns,
        K: KeyOf<PK, Key = N>,
        N: RowKey,
        Reader<Q, PK, S, P>: ReadPage<N, R> + 'static,
    {
        let reader = Reader {
            query: self.query,
            column: self.column,
            selection: self.selection,
            pool: pool.clone(),
        };
        KeysetRows::new(Box::new(reader), PK::named(), self.is_snapshot)
    }
}

impl<Q: Clone, PK: Clone, S: Clone, K> Clone for Keyset<Q, PK, S, K> {
    fn clone(&self) -> Self {
        Self {
            query: self.query.clone(),
            column: self.column.clone(),
            selection: self.selection.clone(),
            is_snapshot: self.is_snapshot,
            _key: PhantomData,
        }
    }
}

impl<Q, PK: KeyColumns, S, K> fmt::Debug for Keyset<Q, PK, S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyset(by {:?})", PK::named())
    }
}
