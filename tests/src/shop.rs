//! A table of customers in a file of its own, which keysets page over while tests change it.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Error, Pool, PooledConnection};

diesel::table! {
    /// What the shop knows.
    customers (id) {
        /// The primary key.
        id -> BigInt,
        /// What the customer is called.
        name -> Text,
        /// Whether the customer buys anything.
        active -> Bool,
    }
}

/// A customer.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = customers)]
pub struct Customer {
    /// The primary key.
    pub id: i64,
    /// What the customer is called.
    pub name: String,
    /// Whether the customer buys anything.
    pub active: bool,
}

/// The pool that workflows get as a `State`.
pub type ShopPool = Pool<ConnectionManager<SqliteConnection>>;

/// A connection that the pool lends.
pub type ShopConnection = PooledConnection<ConnectionManager<SqliteConnection>>;

/// Readers wait for writers, as every connection of a busy database should.
#[derive(Debug)]
struct Patient;

impl CustomizeConnection<SqliteConnection, Error> for Patient {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), Error> {
        conn.batch_execute("PRAGMA busy_timeout = 10000; PRAGMA synchronous = OFF")
            .map_err(Error::QueryError)
    }
}

/// Opens the shop in a folder, with its tables.
///
/// # Panics
/// When SQLite cannot.
#[must_use]
pub fn open(dir: &Path) -> ShopPool {
    let manager = ConnectionManager::new(dir.join("shop.db").display().to_string());
    let pool = Pool::builder()
        .max_size(2)
        .connection_customizer(Box::new(Patient))
        .build(manager)
        .expect("the shop opens");
    edit(
        &pool,
        "PRAGMA journal_mode = WAL;
         CREATE TABLE IF NOT EXISTS customers
            (id INTEGER PRIMARY KEY, name TEXT NOT NULL, active BOOLEAN NOT NULL)",
    );
    pool
}

/// Runs statements of a test.
///
/// # Panics
/// When SQLite cannot.
pub fn edit(pool: &ShopPool, sql: &str) {
    let mut conn = pool.get().expect("a connection");
    conn.batch_execute(sql).expect("the shop is edited");
}

/// Adds active customers.
///
/// # Panics
/// When one of them is there.
pub fn insert(pool: &ShopPool, ids: impl IntoIterator<Item = i64>) {
    let mut conn = pool.get().expect("a connection");
    let rows: Vec<_> = ids
        .into_iter()
        .map(|id| {
            (
                customers::id.eq(id),
                customers::name.eq(format!("customer {id}")),
                customers::active.eq(true),
            )
        })
        .collect();
    for rows in rows.chunks(5_000) {
        diesel::insert_into(customers::table)
            .values(rows.to_vec())
            .execute(&mut conn)
            .expect("customers are added");
    }
}

/// Removes customers.
///
/// # Panics
/// When SQLite cannot.
pub fn remove(pool: &ShopPool, ids: &[i64]) {
    let mut conn = pool.get().expect("a connection");
    diesel::delete(customers::table.filter(customers::id.eq_any(ids.to_vec())))
        .execute(&mut conn)
        .expect("customers are removed");
}
