//! Connections: what runs on one, and how it is opened anew after a loss.
//!
//! A transaction that loses its connection before the commit is sent has done nothing, and is run again. Once
//! the commit is sent nobody knows: the intents of a store are made so that the same call again settles it.

mod lender;
mod lent;
mod line;
mod settings;
mod trial;
mod wait;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;

use super::fault;
use super::location::PostgresOptions;
use super::servers::Servers;
use super::statement::are_for;
use crate::error::{OUTCOME_UNKNOWN, StoreError, StoreErrorKind};
use crate::store::StoreResult;
use crate::store::caller::Caller;
pub use lender::{DatabasePool, Lender, LentConnection};
use line::Line;
pub(super) use settings::Purpose;
use settings::{Setting, local, lock_patience, lock_wait, settings};
use work::Work;

/// How long a call goes on trying while the server is away.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a lock is waited for that must be free now. A wait of zero would be one without an end.
const AT_ONCE: Duration = Duration::from_millis(10);

/// The first pause between two tries; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Where connections come from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) options: Arc<PostgresOptions>,
    /// The application's pool, if it lends its connections.
    pub(super) lender: Option<Lender>,
    /// Which server all sessions are with.
    pub(super) servers: Arc<Servers>,
}

impl Source {
    /// Whether a session is somebody else's after each transaction, so that nothing may be left in it.
    pub(super) fn is_shared(&self) -> bool {
        self.options.pooler
    }

    /// Whether calls of other processes can be heard: for that a session must be ours. Beside a
    /// pool that lends them one is opened for it, if the URL says where.
    pub(super) fn hears(&self) -> bool {
        let has_own = self.lender.is_none() || self.options.names_a_server;
        self.options.notify && !self.is_shared() && has_own
    }

    pub(super) fn session(&self, purpose: Purpose) -> Session {
        let settings = settings(&self.options, purpose);
        let begin = match self.is_shared() {
            true => format!("BEGIN; {}", local(&settings)),
            false => "BEGIN".to_owned(),
        };
        Session {
            source: self.clone(),
            purpose,
            settings,
            begin,
            lock_wait: lock_wait(&self.options, purpose),
            lock_patience: lock_patience(&self.options, purpose),
            line: None,
            generation: 0,
        }
    }
}

/// One connection of ours over time: opened when it is needed, given up when it fails.
pub(super) struct Session {
    source: Source,
    purpose: Purpose,
    settings: Vec<Setting>,
    begin: String,
    /// How long it waits for a lock, and how long it goes on trying to get it.
    lock_wait: Duration,
    lock_patience: Duration,
    line: Option<Line>,
    /// Of the server that the line leads to.
    generation: u64,
}

/// How a try of a transaction ended without a value.
enum Failure {
    /// Nothing was done; the connection is gone.
    Lost(StoreError),
    /// The commit was sent, and its answer is lost.
    Unknown(StoreError),
    /// The server said no; the connection is good.
    Told(Error),
    /// The connection could not be opened.
    Away(StoreError),
}

impl Session {
    /// Who waits for the database to be opened.
    pub(super) fn caller(&self) -> &Caller {
        &self.source.options.caller
    }

    /// How long it waits for a lock.
    pub(super) fn lock_wait(&self) -> Duration {
        self.lock_wait
    }

    /// Opens the connection if there is none.
    pub(super) fn connect(&mut self) -> StoreResult<&mut PgConnection> {
        if self.is_left()
            && let Some(line) = self.line.take()
        {
            line.leave();
        }
        if self.line.is_none() {
            let open = || Line::open(&self.source, &self.settings, self.purpose);
            let (line, generation) = wait::told(&self.source, open)?;
            self.line = Some(line);
            self.generation = generation;
        }
        match &mut self.line {
            Some(line) => Ok(line.conn()),
            None => Err(StoreError::new(
                "open",
                StoreErrorKind::Transient,
                "no connection",
            )),
        }
    }

    /// Whether the connection leads to a server that the others have left.
    pub(super) fn is_left(&self) -> bool {
        self.line.is_some() && self.generation != self.source.servers.generation()
    }

    /// Gives the connection up, as it is; the next use opens another.
    pub(super) fn disconnect(&mut self) {
        self.line = None;
    }

    /// As [`disconnect`](Self::disconnect), amid something: whoever lends it gets it back with
    /// nothing begun.
    fn abandon(&mut self) {
        if let Some(line) = self.line.take() {
            line.end();
        }
    }

    /// Runs `work` in one transaction (READ COMMITTED), again if it lost against another one or its
    /// connection was lost before the commit, as long as the patience lasts. If the answer to the commit was lost,
    /// `work` runs again too when `is_idempotent`; otherwise the error says that the outcome is unknown.
    pub(super) fn transaction<T>(
        &mut self,
        operation: &'static str,
        patience: Duration,
        is_idempotent: bool,
        work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        work::run(operation, work, |work| {
            self.again(operation, patience, is_idempotent, &mut |session| {
                session.attempt(operation, work)
            })
        })
    }

    /// Runs `work` in one transaction that waits for no lock. It is run again only if an idle
    /// connection was found lost; the same call again must settle what a lost answer left open.
    pub(super) fn transaction_at_once<T>(
        &mut self,
        operation: &'static str,
        mut work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        let brief = format!("SET LOCAL lock_timeout = {}", AT_ONCE.as_millis());
        let usual = std::mem::replace(&mut self.lock_wait, AT_ONCE);
        let done = self.transaction(operation, Duration::ZERO, true, |conn| {
            conn.batch_execute(&brief)?;
            work(conn)
        });
        self.lock_wait = usual;
        done
    }

    /// Runs `work`, which is one statement (or several, each right by itself), without a transaction around it:
    /// that saves two round trips. As [`transaction`](Self::transaction) if the same call again settles what a
    /// lost answer left open, which it must.
    pub(super) fn single<T>(
        &mut self,
        operation: &'static str,
        patience: Duration,
        work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        let is_shared = self.source.is_shared();
        work::run(operation, work, |work| {
            self.again(operation, patience, true, &mut |session| match is_shared {
                true => session.attempt(operation, work),
                false => session.attempt_single(operation, work),
            })
        })
    }

    fn attempt_single(
        &mut self,
        operation: &'static str,
        work: &mut Work<'_>,
    ) -> Result<(), Failure> {
        are_for(operation);
        self.connect().map_err(Failure::Away)?;
        let guard = Abandoned { session: self };
        let Some(line) = &mut guard.session.line else {
            return Err(Failure::Lost(lost_line(operation)));
        };
        let conn = line.conn();
        let (servers, generation) = (&guard.session.source.servers, guard.session.generation);
        let failure = match work(conn) {
            Ok(()) if servers.generation() != generation => Failure::Lost(left(operation)),
            Ok(()) => {
                std::mem::forget(guard);
                return Ok(());
            }
            // A server that still answers has said no.
            Err(error) if conn.batch_execute("SELECT 1").is_ok() => {
                std::mem::forget(guard);
                return Err(Failure::Told(error));
            }
            Err(error) => Failure::Lost(fault::lost(operation, &error)),
        };
        drop(guard);
        Err(failure)
    }

    fn attempt(&mut self, operation: &'static str, work: &mut Work<'_>) -> Result<(), Failure> {
        are_for(operation);
        let begin = self.begin.clone();
        let conn = self.connect().map_err(Failure::Away)?;
        if let Err(error) = AnsiTransactionManager::begin_transaction_sql(conn, &begin) {
            self.abandon();
            return Err(Failure::Lost(fault::lost(operation, &error)));
        }
        let guard = Abandoned { session: self };
        let Some(line) = &mut guard.session.line else {
            return Err(Failure::Lost(lost_line(operation)));
        };
        let conn = line.conn();
        let (servers, generation) = (&guard.session.source.servers, guard.session.generation);
        let is_left = || servers.generation() != generation;
        let failure = match work(conn) {
            Ok(()) if is_left() => Failure::Lost(left(operation)),
            Ok(()) => match AnsiTransactionManager::commit_transaction(conn) {
                // Committed where nobody will look for it.
                Ok(()) if is_left() => Failure::Unknown(left(operation)),
                Ok(()) => {
                    std::mem::forget(guard);
                    return Ok(());
                }
                Err(error) => {
                    // Whether the server refused or the line broke: a session in doubt is closed.
                    let error = fault::lost(operation, &error);
                    return Err(Failure::Unknown(StoreError::new(
                        operation,
                        StoreErrorKind::Transient,
                        format!(
                            "the connection was lost at the commit, so {OUTCOME_UNKNOWN}: {}",
                            error.message
                        ),
                    )));
                }
            },
            Err(error) => match AnsiTransactionManager::rollback_transaction(conn) {
                Ok(()) => {
                    std::mem::forget(guard);
                    return Err(Failure::Told(error));
                }
                Err(_) => Failure::Lost(fault::lost(operation, &error)),
            },
        };
        drop(guard);
        Err(failure)
    }

    /// Begins a transaction that sees the database as it is now until the session is closed.
    pub(super) fn begin_snapshot(&mut self) -> StoreResult<()> {
        let mode = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begin = self.begin.replacen("BEGIN", mode, 1);
        let begun = AnsiTransactionManager::begin_transaction_sql(self.connect()?, &begin);
        begun.map_err(|error| fault::lost("snapshot", &error))
    }

    /// The connection, if there still is one.
    pub(super) fn connected(&mut self, operation: &'static str) -> StoreResult<&mut PgConnection> {
        if self.is_left() {
            return Err(left(operation));
        }
        are_for(operation);
        let line = self.line.as_mut();
        line.map(Line::conn).ok_or_else(|| lost_line(operation))
    }

    /// Ends it. A connection that cannot is closed.
    pub(super) fn end_snapshot(&mut self) {
        let ended = match &mut self.line {
            Some(line) => AnsiTransactionManager::rollback_transaction(line.conn()).is_ok(),
            None => true,
        };
        if !ended {
            self.abandon();
        }
    }

    /// Runs one look, again after a lost connection as long as the patience lasts.
    pub(super) fn read<T>(
        &mut self,
        operation: &'static str,
        work: impl FnMut(&mut PgConnection) -> QueryResult<T>,
    ) -> StoreResult<T> {
        if self.source.is_shared() {
            return self.transaction(operation, PATIENCE, true, work);
        }
        work::run(operation, work, |work| self.look(operation, work))
    }

    fn look(&mut self, operation: &'static str, work: &mut Work<'_>) -> StoreResult<()> {
        are_for(operation);
        let begun = Instant::now();
        let mut pause = PAUSE_MIN;
        let servers = Arc::clone(&self.source.servers);
        loop {
            let generation = servers.generation();
            let error = match self.connect() {
                Ok(conn) => match work(conn) {
                    // Of the server that was left, or of the one that this very connection made it leave.
                    Ok(()) if servers.generation() != generation => left(operation),
                    Ok(()) => return Ok(()),
                    // A server that still answers has said no.
                    Err(error)
                        if !fault::is_of_session(&error)
                            && conn.batch_execute("SELECT 1").is_ok() =>
                    {
                        return Err(fault::statement(operation, &error));
                    }
                    Err(error) => {
                        self.disconnect();
                        fault::lost(operation, &error)
                    }
                },
                Err(error) => error,
            };
            if begun.elapsed() >= PATIENCE || !error.is_transient() {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// A transaction whose end is not known, also by a panic: its connection is closed, which rolls it back unless
/// its commit has arrived.
struct Abandoned<'a> {
    session: &'a mut Session,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        self.session.abandon();
    }
}

fn left(operation: &'static str) -> StoreError {
    StoreError::new(
        operation,
        StoreErrorKind::Transient,
        "this process went over to another server meanwhile",
    )
}

fn lost_line(operation: &'static str) -> StoreError {
    StoreError::new(operation, StoreErrorKind::Transient, "no connection")
}
