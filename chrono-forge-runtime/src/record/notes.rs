//! What a record keeps beside its columns: the JSON of `metadata`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Json;

/// Failed attempts by the budget that they drew on; the name is that of the policy's errors.
///
/// Kept as text with the row, so that budgets survive restarts, pauses and a list of policies whose
/// order has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RetryCounts(BTreeMap<String, u32>);

impl RetryCounts {
    /// Counts one more failure of this budget; answers how many there are now.
    pub fn count(&mut self, budget: &str) -> u32 {
        let used = self.0.entry(budget.to_owned()).or_default();
        *used = used.saturating_add(1);
        *used
    }

    /// Failures of this budget so far.
    #[must_use]
    pub fn used(&self, budget: &str) -> u32 {
        self.0.get(budget).copied().unwrap_or(0)
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a row keeps them; what does not read as counts counts nothing.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// As a row keeps them: `{}` when nothing was counted.
    #[must_use]
    pub fn to_json(&self) -> Json {
        serde_json::to_string(self).map_or_else(|_| "{}".into(), Into::into)
    }
}

/// The `metadata` of a record. Instants are microseconds since 1970. Fields that other rooms write
/// by SQL (a branch's cursors) are not here and survive beside these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// When a condition gives up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_at: Option<i64>,
    /// It failed by running out of time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub timed_out: bool,
    /// An attempt takes its time: it runs since `last_executed_at`, if its run is still running.
    #[serde(default, skip_serializing_if = "is_false")]
    pub executing: bool,
    #[serde(default, skip_serializing_if = "RetryCounts::is_empty")]
    pub retry_counts: RetryCounts,
    /// A step in the block of a branch: the branch's name. Its key is the block's alone, also once the block
    /// is sealed and never runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// The row's own name, where that is too long for an index and the row is named by a digest of
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A repeat: where its grid begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<i64>,
    /// A repeat: its frontier, the newest tick that is over. Ticks up to it never run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_execution_at: Option<i64>,
    /// A repeat: the tick under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<TickNotes>,
    /// A repetition: its tick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_for: Option<i64>,
    /// A summary of ticks that expired unrun: how many, the first, the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_forwarded: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    /// A repeat: what operators are told of ticks that are over. Boxed, since nothing else has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticks: Option<Box<PastTicks>>,
}

/// The newest of a repeat's ticks that are over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastTicks {
    /// The last one that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EndedTick>,
    /// The last ones that came too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkippedNotes>,
}

/// A tick that ran, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTick {
    /// The scheduled instant.
    pub at: i64,
    pub ended_at: i64,
    /// Class and message, as far as a line has room for them; `None` if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<(String, String)>,
}

/// Ticks that came too late to begin: how many, the first, the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedNotes {
    pub count: u64,
    pub from: i64,
    pub to: i64,
}

/// The tick of a repeat that is under way or waits for its next attempt. Its repetition row tells the
/// same to operators; this is what the engine goes on from, since those rows are never loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickNotes {
    /// The scheduled instant.
    pub at: i64,
    /// Failed attempts.
    #[serde(default)]
    pub attempts: u32,
    /// When it may begin no further attempt; absent after a retry by hand, which opens a new window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_at: Option<i64>,
    /// When the next attempt begins. The row's `wake_at` does not tell: it is that of `until`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<i64>,
    #[serde(default, skip_serializing_if = "RetryCounts::is_empty")]
    pub retry_counts: RetryCounts,
}

impl Notes {
    /// Of a row; what does not read as notes tells nothing.
    #[must_use]
    pub fn of_text(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// As a row keeps them; `None` when there is nothing to tell.
    #[must_use]
    pub fn to_json(&self) -> Option<Json> {
        if *self == Self::default() {
            return None;
        }
        serde_json::to_string(self).ok().map(Into::into)
    }

    /// What is left to tell of an operation that gave up.
    #[must_use]
    pub fn given_up(self, timed_out: bool) -> Self {
        Self {
            timeout_at: None,
            executing: false,
            timed_out,
            ..self
        }
    }

    /// The branch in whose block the operation of this row stood, as far as its metadata says so.
    #[must_use]
    pub fn within_of(text: Option<&str>) -> Option<String> {
        // Most metadata says nothing of it, and is not worth reading for it.
        let text = text.filter(|text| text.contains("\"within\""))?;
        Self::of_text(Some(text)).within
    }

    /// What is left to tell of an operation that ended.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self {
            within: self.within.clone(),
            name: self.name.clone(),
            ..Self::default()
        }
    }

    /// When a condition gives up.
    #[must_use]
    pub fn timeout_at(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.timeout_at?).ok()
    }

    /// Fixes when a condition gives up, unless an earlier pass has.
    pub fn fix_timeout(&mut self, at: Option<Timestamp>) {
        self.timeout_at = self.timeout_at.or(at.map(Timestamp::as_microsecond));
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_tell_is_no_metadata() {
        assert_eq!(Notes::default().to_json(), None);
        assert_eq!(Notes::of_text(None), Notes::default());
        assert_eq!(Notes::of_text(Some("nonsense")), Notes::default());
    }

    #[test]
    fn notes_survive_as_text_beside_what_others_keep_there() {
        let text = r#"{"cursors":{"a":1},"timeout_at":7,"retry_counts":{"*":2}}"#;
        let mut notes = Notes::of_text(Some(text));
        assert_eq!(notes.timeout_at().unwrap().as_microsecond(), 7);
        notes.fix_timeout(Some(Timestamp::MAX));
        assert_eq!(notes.retry_counts.count("*"), 3);
        assert_eq!(
            notes.to_json().as_deref(),
            Some(r#"{"timeout_at":7,"retry_counts":{"*":3}}"#)
        );
    }

    #[test]
    fn counts_stop_at_the_largest_number() {
        let mut counts = RetryCounts::of_text(r#"{"*":4294967295}"#);
        assert_eq!(counts.count("*"), u32::MAX);
        assert_eq!(counts.used("other"), 0);
        assert_eq!(&*RetryCounts::of_text("nonsense").to_json(), "{}");
    }
}
