//! Records that nothing asks for, beside an effect that has none: so a renamed step looks, whose
//! effect is about to happen a second time.
//!
//! Rows alone can tell as much, and no more: a step that was inserted before others looks the same
//! until those are reached. It is told and not judged.

use super::OpId;
use super::ledger::Ledger;
use super::operation::Kind;
use super::turn::Sight;
use crate::engine::report::{Tiding, is_heard};
use crate::record::{Notes, RecordRow, RecordState};

/// A pass that finds such a record so often looks no more: it may begin ten thousand steps and
/// leave as many records.
const FOUND_MAX: u32 = 8;

/// Records that nothing had asked for when something new began, and that were not told of.
#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    /// In the order in which the body received them. `None` before the first look, which is the
    /// only one that goes through the history.
    names: Option<Vec<String>>,
    found: u32,
}

impl Ledger {
    /// Something new is about to begin, and everything recorded that was asked for is delivered. If
    /// it is an effect without a record: is there one of its kind that nothing has asked for?
    pub(super) fn look_for_renamed(&mut self, id: OpId, sight: Sight<'_>) {
        if self.history.is_empty() || self.unclaimed.found >= FOUND_MAX {
            return;
        }
        let Some(op) = self.ops.get(&id) else { return };
        let is_effect = matches!(op.kind, Kind::Step { .. } | Kind::Repeat(_) | Kind::Branch);
        let is_new = op.record.is_none() && op.within.is_none();
        // A body that waits for something of its own, a channel or a timer, may not have come to
        // what is recorded.
        let waits_elsewhere = sight.root_cloned && !self.wakes_apart;
        if !is_effect || !is_new || waits_elsewhere || !is_heard() {
            return;
        }
        let names = self.unclaimed.names.get_or_insert_with(|| {
            let rows = self.history.rows().filter(|(_, row)| is_of_the_body(row));
            let mut rows: Vec<_> = rows.map(|(name, row)| (row.seq, name)).collect();
            rows.sort_unstable();
            rows.into_iter().map(|(_, name)| name.to_owned()).collect()
        });
        names.retain(|name| self.history.has(name) && !self.reached.contains(&**name));
        self.unclaimed.found += u32::from(!names.is_empty());
        let is_of_kind = |name: &String| {
            let key = name.strip_prefix(op.place.kind);
            key.is_some_and(|key| key.starts_with('$'))
        };
        // What is asked for in the old order has the first of them for its old name, and each has
        // one.
        let first = names.iter().position(is_of_kind);
        let tiding = first.map(|first| Tiding::Unclaimed {
            step: op.step_name.clone(),
            recorded: names.remove(first),
        });
        self.tidings.extend(tiding);
    }
}

/// Whether an operation of the body has left it, completed. What a block has recorded goes with the
/// block: nothing asks for it once that is sealed.
fn is_of_the_body(row: &RecordRow) -> bool {
    row.state == RecordState::Completed && Notes::within_of(row.metadata.as_deref()).is_none()
}
