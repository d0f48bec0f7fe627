//! The statements that the engine's connections run, as Diesel tells them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use rusqlite::types::Value;
use rusqlite::{Connection, StatementStatus};

use super::World;
use crate::backend::Backend;

/// Recorders by a mark of the URLs that Diesel connects to: the tests of one process share Diesel's default.
static RECORDERS: LazyLock<Mutex<HashMap<String, Statements>>> = LazyLock::new(Mutex::default);

/// Records the statements of all connections to one database.
#[derive(Clone, Debug, Default)]
pub struct Statements(Arc<Mutex<Recorded>>);

#[derive(Debug, Default)]
struct Recorded {
    connections: u32,
    statements: Vec<Statement>,
}

/// A statement that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which of the connections ran it.
    pub connection: u32,
    /// Its text, on one line.
    pub sql: String,
    /// Its values, as they are debugged.
    pub binds: String,
}

impl Statements {
    /// Of connections to URLs that contain this.
    pub(super) fn of(mark: String) -> Self {
        let recorder = Self::default();
        lock(&RECORDERS).insert(mark, recorder.clone());
        set_default_instrumentation(|| Some(Box::new(Listener(None)))).expect("the default is set");
        recorder
    }

    /// What was run since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Statement> {
        std::mem::take(&mut lock(&self.0).statements)
    }

    /// As [`Statements::take`], only those whose text contains this.
    #[must_use]
    pub fn take_of(&self, what: &str) -> Vec<Statement> {
        let mut statements = self.take();
        statements.retain(|statement| statement.sql.contains(what));
        statements
    }

    /// Writing transactions since the last time, each as the statements between its ends.
    #[must_use]
    pub fn take_transactions(&self) -> Vec<Vec<Statement>> {
        let mut open: HashMap<u32, Vec<Statement>> = HashMap::new();
        let mut done = Vec::new();
        for statement in self.take() {
            match &*statement.sql {
                "BEGIN IMMEDIATE" | "BEGIN" => {
                    open.insert(statement.connection, Vec::new());
                }
                "COMMIT" => done.extend(open.remove(&statement.connection)),
                _ => {
                    if let Some(transaction) = open.get_mut(&statement.connection) {
                        transaction.push(statement);
                    }
                }
            }
        }
        done
    }
}

impl Statement {
    /// Runs it once more, on a connection of its own, and tells how many steps of SQLite's machine that
    /// takes: what it costs, whatever the machine. It has to read. No other kind of database tells.
    #[must_use]
    pub fn steps(&self, world: &World) -> Option<i32> {
        if world.backend() != Backend::Sqlite {
            return None;
        }
        let conn = Connection::open(world.file()).expect("the file opens");
        let mut statement = conn.prepare(&self.sql).expect("it was run before");
        assert!(statement.readonly(), "{}", self.sql);
        let values: Vec<serde_json::Value> =
            serde_json::from_str(&self.binds).expect("integers and texts");
        let values = values.iter().map(|value| match value.as_i64() {
            Some(value) => Value::Integer(value),
            None => Value::Text(value.as_str().expect("a text").to_owned()),
        });
        let mut rows = statement
            .query(rusqlite::params_from_iter(values))
            .expect("it reads");
        while rows.next().expect("a row").is_some() {}
        drop(rows);
        Some(statement.get_status(StatementStatus::VmStep))
    }
}

/// One connection's; `None` until it is known to be of a database that is recorded.
struct Listener(Option<(Statements, u32)>);

impl Instrumentation for Listener {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartEstablishConnection { url, .. } => {
                let recorders = lock(&RECORDERS);
                let recorder = recorders.iter().find(|(mark, _)| url.contains(*mark));
                let recorder = recorder.map(|(_, recorder)| recorder.clone());
                drop(recorders);
                self.0 = recorder.map(|recorder| {
                    let mut recorded = lock(&recorder.0);
                    recorded.connections += 1;
                    let connection = recorded.connections;
                    drop(recorded);
                    (recorder, connection)
                });
            }
            InstrumentationEvent::StartQuery { query, .. } => {
                let Some((recorder, connection)) = &self.0 else {
                    return;
                };
                let text = query.to_string();
                let (sql, binds) = text.split_once(" -- binds: ").unwrap_or((&text, "[]"));
                let words: Vec<&str> = sql.split_whitespace().collect();
                lock(&recorder.0).statements.push(Statement {
                    connection: *connection,
                    sql: words.join(" "),
                    binds: binds.to_owned(),
                });
            }
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
