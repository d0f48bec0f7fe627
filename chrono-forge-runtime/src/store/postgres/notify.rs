//! Calls between processes: `NOTIFY` on a channel of the schema's own, and an ear for it.
//!
//! Calls make waiting shorter and nothing else: whoever misses one finds the row at its next look.

mod sleep;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error;

use super::connection::{Purpose, Session, Source};
use super::fault;
use super::statement::Stmt;
use crate::error::StoreErrorKind;
use crate::record::RunId;
use crate::store::{Call, Listener, StoreError, StoreResult};
use crate::telemetry::TARGET;
pub(super) use sleep::End;
use sleep::Sleep;

/// An ear that is told of its end may sleep for long.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// One that looks at its socket now and then wakes up anyhow.
const LOOK_MAX: Duration = Duration::from_millis(50);

/// For so long after a call another one is expected.
const SOON: Duration = Duration::from_secs(1);

/// After so much silence the server is asked whether it still hears us: to a socket nothing tells a peer
/// that has gone without a word from one that has nothing to say.
const PROBE_AFTER: Duration = Duration::from_secs(3);

/// The first pause before the connection is opened anew; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

const CALL: &str = "SELECT pg_notify(?, payload) FROM unnest(?) AS call (payload)";

/// For the tests of query plans.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[CALL];

/// Tells all who listen on this schema, once the transaction commits. The server passes on equal calls of one
/// transaction as one.
pub(super) fn call(conn: &mut PgConnection, schema: &str, calls: &[Call]) -> QueryResult<()> {
    let payloads: Vec<String> = calls.iter().map(payload).collect();
    let payloads = super::bind::names(&payloads);
    Stmt::<()>::new(CALL, &[channel(schema).into(), payloads])
        .execute(conn)
        .map(drop)
}

/// PostgreSQL allows 63 bytes: a schema whose name leaves no room for the prefix goes by the name's sum.
fn channel(schema: &str) -> String {
    const ROOM: usize = 63 - "chrono_forge_".len();
    if schema.len() <= ROOM {
        return format!("chrono_forge_{schema}");
    }
    // FNV-1a: the same in every process and every release.
    let sum = schema
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("chrono_forge_{sum:016x}")
}

fn payload(call: &Call) -> String {
    match call {
        Call::Due => "due".to_owned(),
        Call::Settled(run) => format!("settled {}", run.0),
    }
}

/// `None` for what another release may say.
fn parse(payload: &str) -> Option<Call> {
    match payload.split_once(' ') {
        None if payload == "due" => Some(Call::Due),
        Some(("settled", run)) => run.parse().ok().map(|run| Call::Settled(RunId(run))),
        _ => None,
    }
}

/// Listens on a connection of its own.
pub(super) struct Ear {
    session: Session,
    sleep: Sleep,
    listen: String,
    is_open: bool,
    /// When the server was last heard of.
    heard: Instant,
    /// When a call came last.
    called: Instant,
    pause: Duration,
    /// When the connection may be opened anew.
    retry_at: Instant,
}

impl Ear {
    /// An ear that listens already, until its end.
    pub(super) fn open(source: &Source) -> StoreResult<(Self, End)> {
        let now = Instant::now();
        let asleep = Sleep::new();
        let (sleep, end) =
            asleep.map_err(|error| StoreError::new("listen", StoreErrorKind::Transient, error))?;
        let mut ear = Self {
            sleep,
            session: source.session(Purpose::Listen),
            listen: format!("LISTEN \"{}\"", channel(&source.options.schema)),
            is_open: false,
            heard: now,
            called: now,
            pause: PAUSE_MIN,
            retry_at: now,
        };
        ear.connect()?;
        Ok((ear, end))
    }

    fn connect(&mut self) -> StoreResult<()> {
        self.session.disconnect();
        let session = &mut self.session;
        self.sleep.connecting(|| session.connect().map(drop))?;
        let conn = self.session.connect()?;
        if let Err(error) = conn.batch_execute(&self.listen) {
            self.session.disconnect();
            return Err(fault::lost("listen", &error));
        }
        self.is_open = true;
        self.heard = Instant::now();
        self.pause = PAUSE_MIN;
        Ok(())
    }

    /// What has arrived. The server is probed when it has been silent for long.
    fn drain(&mut self) -> StoreResult<Vec<Call>> {
        let told = |error: Error| fault::lost("listen", &error);
        let is_silent = self.heard.elapsed() >= PROBE_AFTER;
        // Another one would not listen.
        let conn = self.session.connected("listen")?;
        if is_silent {
            conn.batch_execute("SELECT 1").map_err(told)?;
        }
        let payloads = conn
            .notifications_iter()
            .map(|call| Ok(call?.payload))
            .collect::<QueryResult<Vec<String>>>()
            .map_err(told)?;
        if is_silent || !payloads.is_empty() {
            self.heard = Instant::now();
        }
        if !payloads.is_empty() {
            self.called = Instant::now();
        }
        // Many processes may have told the same.
        let mut seen = BTreeSet::new();
        let news = payloads.iter().filter(|call| seen.insert(*call));
        Ok(news.filter_map(|call| parse(call)).collect())
    }

    /// Opens the connection anew if it is time. Whatever was called meanwhile is lost: each of the
    /// runs that somebody waits for may have settled.
    fn reopen(&mut self, awaited: &dyn Fn() -> Vec<RunId>) -> Vec<Call> {
        if Instant::now() < self.retry_at {
            return Vec::new();
        }
        match self.connect() {
            Ok(()) => Call::missed(awaited()),
            Err(error) => {
                tracing::debug!(target: TARGET, %error, "calls of other processes cannot be heard");
                self.retry_at = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                Vec::new()
            }
        }
    }

    fn lose(&mut self, error: &StoreError) {
        tracing::debug!(target: TARGET, %error, "the connection that listens was lost");
        self.session.disconnect();
        self.is_open = false;
        self.retry_at = Instant::now();
    }
}

impl Listener for Ear {
    fn wait_max(&self) -> Duration {
        match self.sleep.is_told() {
            true => WAIT_MAX,
            false => LOOK_MAX,
        }
    }

    fn wait(
        &mut self,
        at_most: Duration,
        awaited: &dyn Fn() -> Vec<RunId>,
    ) -> StoreResult<Vec<Call>> {
        let begun = Instant::now();
        loop {
            let calls = match self.is_open {
                false => self.reopen(awaited),
                true if self.session.is_left() => {
                    self.session.disconnect();
                    self.is_open = false;
                    self.retry_at = Instant::now();
                    continue;
                }
                true => match self.drain() {
                    Ok(calls) => calls,
                    Err(error) => {
                        self.lose(&error);
                        continue;
                    }
                },
            };
            let left = at_most.saturating_sub(begun.elapsed());
            if !calls.is_empty() || left.is_zero() {
                return Ok(calls);
            }
            let next = match self.is_open {
                true => PROBE_AFTER.saturating_sub(self.heard.elapsed()),
                false => self.retry_at.saturating_duration_since(Instant::now()),
            };
            let is_awaited = self.called.elapsed() < SOON || !awaited().is_empty();
            if self.sleep.until_told(left.min(next), is_awaited) {
                return Ok(Vec::new());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_survive_the_way() {
        for call in [Call::Due, Call::Settled(RunId(i64::MAX))] {
            assert_eq!(parse(&payload(&call)), Some(call));
        }
        for other in ["", "due 1", "settled", "settled x", "paused 3"] {
            assert_eq!(parse(other), None);
        }
    }

    #[test]
    fn a_channel_fits_whatever_the_schema_is_called() {
        let longest = ["a".repeat(63), "a".repeat(62) + "b"].map(|schema| channel(&schema));
        assert!(longest.iter().all(|channel| channel.len() <= 63));
        assert_ne!(longest[0], longest[1]);
        assert_eq!(channel("public"), "chrono_forge_public");
        assert_eq!(channel(&"a".repeat(50)).len(), 63);
    }
}
