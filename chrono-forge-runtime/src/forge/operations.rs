//! What a run waits for, as operators ask it.

use std::time::Duration;

use jiff::Timestamp;

use super::Forge;
use crate::clock::until;
use crate::error::Error;
use crate::record::{Notes, PendingRow, RunId};

/// The most operations that are told of one run.
const OPERATIONS_MAX: u32 = 1_000;

/// An operation that has begun and has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// What it is: `step`, `wait`, `wait_until`, `continue_if`, `repeat`, `branch` or `merge`.
    pub kind: String,
    /// Its key; of a `merge!` the names of its branches, of a tick of a `repeat!` its key and instant.
    pub key: String,
    /// Finished attempts. The one under way is not counted.
    pub attempts: u32,
    /// When it goes on by itself: a wait ends, a condition is looked at, a failed attempt is tried
    /// again. `None` while it executes, or until it is woken.
    pub wake_at: Option<Timestamp>,
    /// When a condition gives up.
    pub timeout_at: Option<Timestamp>,
    /// Class and message of its last failed attempt.
    pub last_error: Option<(String, String)>,
    /// Since when an attempt executes, as its worker noted it: attempts of less than a tenth of a
    /// second never are. `None` unless a worker holds the run.
    pub executing_since: Option<Timestamp>,
    /// How long that is ago.
    pub executing_for: Option<Duration>,
}

/// The operations of a run that have no outcome yet, by name.
pub(super) async fn of_run(forge: &Forge, run: RunId) -> Result<Vec<Operation>, Error> {
    let host = forge.host();
    let rows = host.read_for_user(move |store| store.pending(run, OPERATIONS_MAX));
    let rows = rows.await.map_err(|error| host.explain(error))?;
    let now = host.clock.now();
    let operations = rows.into_iter().map(|row| operation(row, now));
    Ok(operations.collect())
}

fn operation(row: PendingRow, now: Timestamp) -> Operation {
    let notes = Notes::of_text(row.metadata.as_deref());
    let name = notes.name.as_ref().unwrap_or(&row.step_name);
    let (kind, key) = name.split_once('$').unwrap_or(("", name));
    let executing_since = row
        .last_executed_at
        .filter(|_| row.is_held && notes.executing);
    Operation {
        kind: kind.to_owned(),
        key: key.to_owned(),
        attempts: row.attempts,
        wake_at: row.wake_at,
        timeout_at: notes.timeout_at(),
        last_error: row.last_error,
        executing_since,
        executing_for: executing_since.map(|since| until(since, now)),
    }
}
