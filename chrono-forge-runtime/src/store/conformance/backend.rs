//! What a database brings along to be tested.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use std::sync::Arc;

use jiff::Timestamp;

use crate::store::Store;

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
    fn open(&self) -> Arc<dyn Store>;

    /// The only column, `text`, of these rows.
    fn texts(&self, sql: &str) -> Vec<String>;

    /// Changes rows, torn apart if need be; answers how many.
    fn execute(&self, sql: &str) -> usize;

    /// The expression for the microseconds of a column.
    fn micros(&self, column: &str) -> String;

    /// The literal of an instant.
    fn instant(&self, at: Timestamp) -> String;
}
