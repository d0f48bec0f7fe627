//! What a database brings along to be tested.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use std::sync::Arc;

use diesel_migrations::FileBasedMigrations;
use jiff::Timestamp;

use crate::store::shared::schema::Additive;
use crate::store::{Store, StoreResult};

/// A kind of database.
pub(crate) trait Backend {
    /// What this machine lacks to run its cases, as a remedy.
    fn missing(&self) -> Option<&'static str>;

    /// An empty database that goes with the test.
    fn fresh(&self) -> Box<dyn Database>;
}

/// One database. What cases ask of it in SQL is what every database understands.
pub(crate) trait Database: Send + Sync {
    /// Opens it as one more process does.
    fn open(&self) -> Arc<dyn Store> {
        self.try_open().unwrap()
    }

    /// The same where it may be refused.
    fn try_open(&self) -> StoreResult<Arc<dyn Store>>;

    /// Brings its schema up to date as a later binary does, which has the migrations in this
    /// folder, too, of which these only add.
    fn upgrade(&self, later: &FileBasedMigrations, additive: Additive) -> StoreResult<()>;

    /// The only column, `text`, of these rows.
    fn texts(&self, sql: &str) -> Vec<String>;

    /// Changes rows, torn apart if need be; answers how many.
    fn execute(&self, sql: &str) -> usize;

    /// The expression for the microseconds of a column.
    fn micros(&self, column: &str) -> String;

    /// The literal of an instant.
    fn instant(&self, at: Timestamp) -> String;
}
