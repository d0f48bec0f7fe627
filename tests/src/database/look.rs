//! Raw queries and edits beside the engine.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::file;
#[cfg(feature = "postgres")]
use super::server;
use crate::backend::Backend;

/// A connection beside the engine's.
pub struct Look(Kind);

enum Kind {
    Sqlite(rusqlite::Connection),
    #[cfg(feature = "postgres")]
    Postgres(server::Connection),
}

/// The value of a `?`.
#[derive(Clone, Debug)]
pub enum Param {
    /// An integer, or the microseconds of an `instant(?)`.
    Int(i64),
    /// A text.
    Text(String),
}

/// A row: its values by the names of their columns.
pub(super) type Line = Map<String, Value>;

impl From<i64> for Param {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl Look {
    pub(super) fn of_file(path: &Path) -> Self {
        Self(Kind::Sqlite(file::open(path)))
    }

    #[cfg(feature = "postgres")]
    pub(super) fn of_server(connection: &server::Connection) -> Self {
        Self(Kind::Postgres(connection.clone()))
    }

    /// The rows of a query; none before its tables are there.
    ///
    /// # Panics
    /// When the query cannot be run, or its rows are others.
    #[must_use]
    pub fn rows<T: DeserializeOwned>(&self, sql: &str, params: &[Param]) -> Vec<T> {
        let typed = |line| {
            serde_json::from_value(Value::Object(line)).unwrap_or_else(|e| panic!("{sql}: {e}"))
        };
        self.lines(sql, params).into_iter().map(typed).collect()
    }

    /// The one column of every row.
    ///
    /// # Panics
    /// As [`Look::rows`].
    #[must_use]
    pub fn texts(&self, sql: &str, params: &[Param]) -> Vec<String> {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.column(sql, params).map(text).collect()
    }

    /// The one number that a query answers.
    ///
    /// # Panics
    /// As [`Look::rows`], and when it answers none.
    #[must_use]
    pub fn number(&self, sql: &str, params: &[Param]) -> i64 {
        let first = self.column(sql, params).next();
        first
            .as_ref()
            .and_then(Value::as_i64)
            .unwrap_or_else(|| panic!("{sql}: {first:?} is no number"))
    }

    /// Changes rows behind the engine's back; answers how many. Nothing holds rows together meanwhile: edits
    /// tear them apart on purpose.
    ///
    /// # Panics
    /// When the database refuses.
    pub fn edit(&self, sql: &str, params: &[Param]) -> usize {
        match &self.0 {
            Kind::Sqlite(connection) => file::edit(connection, sql, params),
            #[cfg(feature = "postgres")]
            Kind::Postgres(connection) => connection.edit(sql, params),
        }
    }

    /// Runs statements that have no values.
    ///
    /// # Panics
    /// When the database refuses one.
    pub(crate) fn script(&self, sql: &str) {
        match &self.0 {
            Kind::Sqlite(connection) => file::script(connection, sql),
            #[cfg(feature = "postgres")]
            Kind::Postgres(connection) => connection.script(sql),
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match &self.0 {
            Kind::Sqlite(_) => Backend::Sqlite,
            #[cfg(feature = "postgres")]
            Kind::Postgres(_) => Backend::Postgres,
        }
    }

    /// Every row of a table, a line each; the first hundred.
    #[must_use]
    pub fn dump(&self, table: &str) -> Vec<String> {
        let sql = format!("SELECT * FROM {table} LIMIT 100");
        let show = |line: Line| {
            let cells = line.into_iter().filter(|(_, value)| !value.is_null());
            let cells = cells.map(|(name, value)| match value {
                Value::String(text) => format!("{name}={text:.300}"),
                other => format!("{name}={other}"),
            });
            cells.collect::<Vec<_>>().join(" ")
        };
        self.lines(&sql, &[]).into_iter().map(show).collect()
    }

    fn column(&self, sql: &str, params: &[Param]) -> impl Iterator<Item = Value> + use<> {
        let lines = self.lines(sql, params).into_iter();
        lines.filter_map(|line| line.into_iter().next().map(|(_, value)| value))
    }

    fn lines(&self, sql: &str, params: &[Param]) -> Vec<Line> {
        match &self.0 {
            Kind::Sqlite(connection) => file::lines(connection, sql, params),
            #[cfg(feature = "postgres")]
            Kind::Postgres(connection) => connection.lines(sql, params),
        }
    }
}
