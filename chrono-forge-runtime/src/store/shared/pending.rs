//! What a run waits for: which repetitions are under way, and the order of the answer.

use jiff::Timestamp;

use crate::record::{Notes, PendingRow};
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

/// By name, and no more than asked for.
pub(in crate::store) fn arrange(mut rows: Vec<PendingRow>, limit: u32) -> Vec<PendingRow> {
    rows.sort_unstable_by(|a, b| a.step_name.cmp(&b.step_name));
    rows.truncate(limit as usize);
    rows
}
