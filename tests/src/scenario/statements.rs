//! The statements that the engine's connections run, as Diesel tells them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use rusqlite::types::Value;
use rusqlite::{Connection, StatementStatus};

use super::World;
use crate::backend::Backend;

/// Recorders by a mark of the URLs that Diesel connects to: the tests of one process share Diesel's default.
static RECORDERS: LazyLock<Mutex<HashMap<String, Statements>>> = LazyLock::new(Mutex::default);

/// A hold that nobody ends is a mistake of the test.
const HELD_MAX: Duration = Duration::from_secs(30);

/// Records the statements of all connections to one database.
#[derive(Clone, Debug, Default)]
pub struct Statements(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    recorded: Mutex<Recorded>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Recorded {
    connections: u32,
    statements: Vec<Statement>,
    /// What statements contain that wait, and how many of them do.
    held: Option<String>,
    waiting: usize,
    /// What the next statement contains that panics.
    panics: Option<String>,
}

/// Statements wait as long as this is there.
#[derive(Debug)]
pub struct Waiting(Arc<Shared>);

impl Waiting {
    /// How many wait just now.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.0.recorded).waiting
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.0.recorded).held = None;
        self.0.moved.notify_all();
    }
}

/// A statement that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which of the connections ran it.
    pub connection: u32,
    /// What a server is told that it is for.
    pub intent: Option<String>,
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
        std::mem::take(&mut lock(&self.0.recorded).statements)
    }

    /// From now on a statement whose text contains this takes as long as the answer is kept.
    #[must_use]
    pub fn hold(&self, what: &str) -> Waiting {
        lock(&self.0.recorded).held = Some(what.to_owned());
        Waiting(Arc::clone(&self.0))
    }

    /// The next statement whose text contains this panics instead.
    pub fn panic_at(&self, what: &str) {
        lock(&self.0.recorded).panics = Some(what.to_owned());
    }

    /// Whether that has happened.
    #[must_use]
    pub fn has_panicked(&self) -> bool {
        lock(&self.0.recorded).panics.is_none()
    }

    fn run(&self, statement: Statement) {
        let mut recorded = lock(&self.0.recorded);
        let sql = statement.sql.clone();
        let is_in = |what: &Option<String>| what.as_ref().is_some_and(|what| sql.contains(what));
        recorded.statements.push(statement);
        if is_in(&recorded.panics) {
            recorded.panics = None;
            drop(recorded);
            panic!("amid a transaction");
        }
        if is_in(&recorded.held) {
            recorded.waiting += 1;
            let is_held = |recorded: &mut Recorded| is_in(&recorded.held);
            let waited = self.0.moved.wait_timeout_while(recorded, HELD_MAX, is_held);
            waited.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
        }
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
                    let mut recorded = lock(&recorder.0.recorded);
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
                let told = sql.strip_prefix("/* chrono_forge ");
                let told = told.and_then(|rest| rest.split_once(" */ "));
                let (intent, sql) = told.map_or((None, sql), |(it, sql)| (Some(it), sql));
                let words: Vec<&str> = sql.split_whitespace().collect();
                recorder.run(Statement {
                    connection: *connection,
                    intent: intent.map(ToOwned::to_owned),
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
