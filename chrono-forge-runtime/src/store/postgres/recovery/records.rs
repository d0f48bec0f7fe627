//! Failed records become pending again, as if they had never finished.

use std::collections::BTreeMap;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::value::RawValue;

use crate::record::RecordId;
use crate::store::postgres::bind::{Bind, ints};
use crate::store::postgres::statement::Stmt;

/// What the records remember, with the records locked in their order. Their runs are locked, but branches, which are
/// re-armed as steps are, are counted down by children, too.
pub(super) const NOTES: &str = "
SELECT l.id, coalesce(l.metadata, '')
FROM unnest(?) AS v (id)
JOIN chrono_forge_execution_logs AS l ON l.id = v.id
WHERE l.state = 2
FOR NO KEY UPDATE OF l";

/// Attempts number the error rows, so they go on; what a branch or a repetition has reached is not done again.
pub(super) const REARM: &str = "
UPDATE chrono_forge_execution_logs AS l SET
    state = 0,
    seq = NULL,
    wake_at = NULL,
    completed_at = NULL,
    error_class = NULL,
    error_message = NULL,
    result = NULL,
    context_delta = CASE WHEN starts_with(l.step_name, 'repeat$') THEN l.context_delta END,
    metadata = v.metadata
FROM unnest(?, ?) AS v (id, metadata)
WHERE l.id = v.id AND l.state = 2";

/// What one attempt leaves behind and the next must not find.
const OF_ATTEMPT: [&str; 4] = ["timeout_at", "timed_out", "executing", "retry_counts"];

/// The same of a repeat's tick.
const OF_TICK: [&str; 3] = ["retry_counts", "timeout_at", "retry_at"];

/// Re-arms those of these records that have failed.
pub(super) fn rearm(conn: &mut PgConnection, records: &[RecordId]) -> QueryResult<()> {
    if records.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<i64> = records.iter().map(|record| record.0).collect();
    ids.sort_unstable();
    let notes: Vec<(i64, String)> = Stmt::<(BigInt, Text)>::new(NOTES, &[ints(ids)]).load(conn)?;
    let kept: Vec<(i64, Option<String>)> = notes
        .into_iter()
        .map(|(id, metadata)| (id, kept(metadata)))
        .collect();
    let binds = [
        ints(kept.iter().map(|(id, _)| *id)),
        Bind::Texts(kept.iter().map(|(_, notes)| notes.as_deref()).collect()),
    ];
    Stmt::<()>::new(REARM, &binds).execute(conn).map(drop)
}

type Object = BTreeMap<String, Box<RawValue>>;

/// What stays of a record's metadata; nothing of an empty object. Text that is no object tells nothing and stays.
fn kept(metadata: String) -> Option<String> {
    let Ok(mut notes) = serde_json::from_str::<Object>(&metadata) else {
        return Some(metadata).filter(|text| !text.is_empty());
    };
    for name in OF_ATTEMPT {
        notes.remove(name);
    }
    let tick = notes.get("tick");
    if let Some(Ok(mut tick)) = tick.map(|tick| serde_json::from_str::<Object>(tick.get())) {
        for name in OF_TICK {
            tick.remove(name);
        }
        if let Ok(tick) = serde_json::value::to_raw_value(&tick) {
            notes.insert("tick".to_owned(), tick);
        }
    }
    if notes.is_empty() {
        return None;
    }
    Some(serde_json::to_string(&notes).unwrap_or(metadata))
}

#[cfg(test)]
mod tests {
    use super::kept;

    fn kept_of(text: &str) -> Option<String> {
        kept(text.to_owned())
    }

    #[test]
    fn an_attempts_notes_go_and_cursors_stay() {
        let notes = r#"{"cursors":{"a":1},"executing":true,"retry_counts":{"*":2},"timeout_at":7}"#;
        assert_eq!(kept_of(notes).as_deref(), Some(r#"{"cursors":{"a":1}}"#));
        assert_eq!(kept_of(r#"{"timed_out":true}"#), None);
        assert_eq!(kept_of(""), None);
    }

    #[test]
    fn a_tick_keeps_its_place() {
        let notes = r#"{"tick":{"at":123456789012345678901,"retry_at":4,"timeout_at":5}}"#;
        let place = r#"{"tick":{"at":123456789012345678901}}"#;
        assert_eq!(kept_of(notes).as_deref(), Some(place));
    }

    #[test]
    fn text_that_is_no_object_stays() {
        assert_eq!(kept_of("[1]").as_deref(), Some("[1]"));
        assert_eq!(kept_of("{torn").as_deref(), Some("{torn"));
    }
}
