//! What a run waits for: which repetitions are under way, and the order of the answer.

use jiff::Timestamp;

use super::codes::count;
use crate::record::{BODY, Due, Notes, PendingRow, RunState};
use crate::schedule::tick_name;

/// The names of the repetition rows that the repeats among these rows are at.
pub(in crate::store) fn ticks_under_way(rows: &[PendingRow]) -> Vec<String> {
    let repeats = rows
        .iter()
        .filter(|row| row.step_name.starts_with("repeat$"));
    repeats.filter_map(tick_under_way).collect()
}

fn tick_under_way(repeat: &PendingRow) -> Option<String> {
    let tick = Notes::of_text(repeat.metadata.as_deref()).tick?;
    let at = Timestamp::from_microsecond(tick.at).ok()?;
    Some(format!("{}${}", repeat.step_name, tick_name(at)))
}

/// Attempts of a body, when it runs again as it is stored, the state of its run, class and message
/// of its last failure.
pub(in crate::store) type BodyColumns = (i64, Option<i64>, i64, Option<String>, Option<String>);

/// A body that has failed, as it stands beside what it waits for.
pub(in crate::store) fn body_row(columns: BodyColumns) -> PendingRow {
    let (attempts, wake_at, state, class, message) = columns;
    PendingRow {
        step_name: BODY.to_owned(),
        attempts: count(attempts),
        metadata: None,
        last_executed_at: None,
        wake_at: wake_at.map(Due::of_micros).and_then(Due::instant),
        last_error: class.zip(message),
        is_held: state == RunState::Running as i64,
    }
}

/// By name, and no more than asked for.
pub(in crate::store) fn arrange(mut rows: Vec<PendingRow>, limit: u32) -> Vec<PendingRow> {
    rows.sort_unstable_by(|a, b| a.step_name.cmp(&b.step_name));
    rows.truncate(limit as usize);
    rows
}
