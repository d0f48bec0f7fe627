//! Numbers as they are stored, and what they mean.

use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error;

use crate::record::{Level, RecordState, RunState};

/// The run's state with this code; one that does not exist was not written by this schema.
pub(in crate::store) fn run_state<C: Into<i64>>(code: C) -> QueryResult<RunState> {
    decode(code.into(), RunState::from_code, "run")
}

/// The record's state with this code.
pub(in crate::store) fn record_state<C: Into<i64>>(code: C) -> QueryResult<RecordState> {
    decode(code.into(), RecordState::from_code, "record")
}

fn decode<S>(code: i64, known: impl Fn(i16) -> Option<S>, of: &str) -> QueryResult<S> {
    let state = i16::try_from(code).ok().and_then(known);
    state
        .ok_or_else(|| Error::DeserializationError(format!("there is no {of} state {code}").into()))
}

/// The level stored as this priority; levels beyond the known ones are claimed by nobody.
pub(in crate::store) fn level(priority: impl Into<i64>) -> Level {
    Level(i16::try_from(priority.into()).unwrap_or(Level::COUNT))
}

/// A stored counter.
pub(in crate::store) fn count(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

/// A stored number of rows or bytes.
pub(in crate::store) fn unsigned(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// A number of rows or bytes, as it is stored.
pub(in crate::store) fn signed(counted: u64) -> i64 {
    i64::try_from(counted).unwrap_or(i64::MAX)
}

/// A worker's lease as its row has it.
pub(in crate::store) fn micros_of(lease: Duration) -> i64 {
    i64::try_from(lease.as_micros()).unwrap_or(i64::MAX)
}

/// A worker's lease as its row told it.
pub(in crate::store) fn lease_of(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}
