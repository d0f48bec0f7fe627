//! What a run waits for, as operators ask it.

use std::time::Duration;

use jiff::Timestamp;

use super::Forge;
use crate::clock::until;
use crate::error::Error;
use crate::record::{EndedTick, Notes, PendingRow, RunId, SkippedNotes};

/// The most operations that are told of one run.
const OPERATIONS_MAX: u32 = 1_000;

/// An operation that has begun and has no outcome yet; or the body itself, where it failed and runs
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// What it is: `step`, `wait`, `wait_until`, `continue_if`, `repeat`, `branch` or `merge`;
    /// `body` for a body that failed and waits for its next attempt, or has failed for good.
    pub kind: String,
    /// Its key; of a `merge!` the names of its branches, of a tick of a `repeat!` its key and
    /// instant. A body has none.
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
    /// Of a `repeat!`: the newest tick that ran and is over.
    pub last_tick: Option<LastTick>,
    /// Of a `repeat!`: the newest ticks that came too late to begin.
    pub skipped: Option<SkippedTicks>,
}

/// A tick of a `repeat!` that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastTick {
    /// The instant that it was scheduled for.
    pub at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Class and message of the failure that it ended in, as far as a line has room for them;
    /// `None` if it succeeded.
    pub error: Option<(String, String)>,
}

/// Ticks of a `repeat!` that came later than its `timeout` allows, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedTicks {
    /// How many there are.
    pub count: u64,
    /// The instant that the first of them was scheduled for.
    pub first: Timestamp,
    /// And the last.
    pub last: Timestamp,
}

impl LastTick {
    fn of(tick: EndedTick) -> Option<Self> {
        Some(Self {
            at: Timestamp::from_microsecond(tick.at).ok()?,
            ended_at: Timestamp::from_microsecond(tick.ended_at).ok()?,
            error: tick.error,
        })
    }
}

impl SkippedTicks {
    fn of(notes: &SkippedNotes) -> Option<Self> {
        Some(Self {
            count: notes.count,
            first: Timestamp::from_microsecond(notes.from).ok()?,
            last: Timestamp::from_microsecond(notes.to).ok()?,
        })
    }
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
    let (kind, key) = name.split_once('$').unwrap_or((name, ""));
    let ticks = notes.ticks.as_deref().cloned().unwrap_or_default();
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
        last_tick: ticks.last.and_then(LastTick::of),
        skipped: ticks.skipped.as_ref().and_then(SkippedTicks::of),
    }
}
