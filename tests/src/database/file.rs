//! SQLite's rows.

use std::path::Path;
use std::time::Duration;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value as Cell, ValueRef};
use rusqlite::{Connection, OpenFlags, Row, ToSql, params_from_iter};
use serde_json::Value;

use super::look::{Line, Param};

/// Longer than any engine writes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Creates the file if it is not there, as an engine would.
pub(super) fn open(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    connection.busy_timeout(PATIENCE).expect("a timeout");
    connection
        .execute_batch("PRAGMA foreign_keys = OFF")
        .expect("a pragma");
    speak(&connection).expect("functions");
    connection
}

/// The functions that every kind of database knows in tests.
fn speak(connection: &Connection) -> rusqlite::Result<()> {
    let same = |context: &Context<'_>| context.get::<Cell>(0);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    for name in ["instant", "micros", "flag"] {
        connection.create_scalar_function(name, 1, flags, same)?;
    }
    connection.create_scalar_function("field", 2, flags, |context| {
        let (json, name): (Option<String>, String) = (context.get(0)?, context.get(1)?);
        let value: Value = serde_json::from_str(json.as_deref().unwrap_or("null"))
            .map_err(|error| rusqlite::Error::UserFunctionError(error.into()))?;
        Ok(match value.get(&name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        })
    })
}

pub(super) fn edit(connection: &Connection, sql: &str, params: &[Param]) -> usize {
    connection
        .execute(sql, params_from_iter(params))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub(super) fn script(connection: &Connection, sql: &str) {
    connection
        .execute_batch(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub(super) fn lines(connection: &Connection, sql: &str, params: &[Param]) -> Vec<Line> {
    let mut statement = match connection.prepare(sql) {
        Ok(statement) => statement,
        Err(error) if error.to_string().contains("no such table") => return Vec::new(),
        Err(error) => panic!("{sql}: {error}"),
    };
    let names: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let rows = statement.query_map(params_from_iter(params), |row| line(row, &names));
    let rows = rows.and_then(Iterator::collect);
    rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn line(row: &Row<'_>, names: &[String]) -> rusqlite::Result<Line> {
    let cell = |(at, name): (usize, &String)| {
        let value = match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            ValueRef::Blob(bytes) => format!("{bytes:?}").into(),
        };
        Ok((name.clone(), value))
    };
    names.iter().enumerate().map(cell).collect()
}

impl ToSql for Param {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Self::Int(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
        }
    }
}
