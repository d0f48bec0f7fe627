//! The context of a pass: entries by key, what an attempt wrote apart until it is recorded.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::ledger::{Delta, Ledger};
use super::operation::{Operation, Phase};
use super::{Kind, OpId, Pass};
use crate::record::Json;
use crate::record::entries::{Entries, object};

/// Bytes of values that the snapshot of an error row keeps.
const SNAPSHOT_BYTES_MAX: usize = 64 << 10;

/// Stands for a value that did not fit.
const OMITTED: &str = "\"<<omitted>>\"";

impl Pass {
    /// The entry as the code that asks sees it: what its own attempt wrote, else what was recorded.
    pub fn context_entry(&self, key: &str) -> Option<Json> {
        let ledger = self.ledger();
        ledger.entry(ledger.active, key)
    }

    /// The same for code that writes what it makes of the entry: its attempt counts only if nobody
    /// else has changed the entry by its end.
    pub fn context_base(&self, key: &str) -> Option<Json> {
        let mut ledger = self.ledger();
        let active = ledger.active;
        let seen = ledger.entry(active, key);
        if let Some(op) = active.and_then(|id| ledger.ops.get_mut(&id))
            && !op.context.contains_key(key)
            && !op.bases.contains_key(key)
        {
            self.updates.store(true, Ordering::Relaxed);
            op.bases.insert(key.to_owned(), seen.clone());
        }
        seen
    }

    /// The entry that this attempt has made something of and that another operation has changed
    /// meanwhile, if there is one: then nothing counts of what the attempt wrote.
    pub fn reject_changed(&self, id: OpId) -> Option<String> {
        if !self.updates.load(Ordering::Relaxed) {
            return None;
        }
        let mut ledger = self.ledger();
        let changed = ledger.changed_entry(id)?;
        ledger.ops.get_mut(&id)?.end_attempt();
        Some(changed)
    }

    /// How many bytes the context would have with these entries, as the code that writes them sees
    /// it.
    pub fn context_bytes_with(&self, entries: &Delta) -> usize {
        let ledger = self.ledger();
        let mut sizes = BTreeMap::new();
        let mut note = |delta: &Delta| {
            for (key, value) in delta {
                // What is nearer to the writer was noted before.
                let size = value.as_ref().map_or(0, |value| size(key, value));
                sizes.entry(key.clone()).or_insert(size);
            }
        };
        note(entries);
        let mut writer = ledger.active;
        while let Some(op) = writer.and_then(|id| ledger.ops.get(&id)) {
            note(&op.context);
            note(&op.kept);
            writer = op.within;
        }
        let replaced = sizes
            .keys()
            .filter_map(|key| ledger.context.get_key_value(key));
        let replaced: usize = replaced.map(|(key, value)| size(key, value)).sum();
        ledger.context_bytes - replaced + sizes.values().sum::<usize>()
    }

    /// Writes (or removes) entries: into the attempt that is being polled, else into the body's.
    pub fn write_context(&self, entries: Delta) {
        let mut ledger = self.ledger();
        match ledger.active {
            Some(id) => {
                if let Some(op) = ledger.ops.get_mut(&id) {
                    op.context.extend(entries);
                }
            }
            // The engine drops the body, which ends here for now: what its destructors write would not be
            // said again by a replay that goes on from here.
            None if !ledger.is_live() => {}
            None => {
                // While the body replays it says again what an earlier pass has already written.
                let keys = entries.keys().cloned();
                match ledger.is_replaying() {
                    true => ledger.said.extend(keys),
                    false => ledger.changed.extend(keys),
                }
                ledger.apply_delta(entries);
            }
        }
    }
}

impl Ledger {
    /// The entry as this operation sees it, or the body.
    fn entry(&self, mut reader: Option<OpId>, key: &str) -> Option<Json> {
        while let Some(op) = reader.and_then(|id| self.ops.get(&id)) {
            if let Some(entry) = op.context.get(key).or_else(|| op.kept.get(key)) {
                return entry.clone();
            }
            reader = op.within;
        }
        self.context.get(key).cloned()
    }

    /// The entry as an attempt of this operation would find it now. What has ended and is not
    /// delivered yet comes before whatever ends later.
    fn outside(&self, op: &Operation, key: &str) -> Option<Json> {
        if let Some(entry) = op.kept.get(key) {
            return entry.clone();
        }
        let ended = self.done.iter().rev().find_map(|id| {
            let other = self.ops.get(id).filter(|other| other.within == op.within)?;
            match &other.phase {
                Phase::Done(live) => live.context.get(key),
                _ => None,
            }
        });
        ended.map_or_else(|| self.entry(op.within, key), Clone::clone)
    }

    /// An entry that the attempt has made something of, and that is another one by now, or will be.
    pub(super) fn changed_entry(&self, id: OpId) -> Option<String> {
        let op = self.ops.get(&id)?;
        let is_changed = |(key, base): &(&String, &Option<Json>)| {
            self.outside(op, key) != **base || self.is_written_apart(id, key)
        };
        op.bases.iter().find(is_changed).map(|(key, _)| key.clone())
    }

    /// Whether the entry was written where this operation does not see it: by an operation that has
    /// ended elsewhere and is not delivered yet, by a block or a repeat that is not over. Their
    /// entry becomes the context's, and what others have made of the older one would be lost.
    fn is_written_apart(&self, id: OpId, key: &str) -> bool {
        let is_apart = |other: OpId| !self.stands_in(id, other) && !self.stands_in(other, id);
        let has_written = |op: &Operation| {
            let written = match (&op.phase, &op.kind) {
                (Phase::Done(live), _) => Some(&live.context),
                (_, Kind::Branch) => Some(&op.context),
                _ => None,
            };
            op.kept.contains_key(key) || written.is_some_and(|written| written.contains_key(key))
        };
        let mut others = self.ops.iter();
        others.any(|(other, op)| has_written(op) && is_apart(*other))
    }

    /// Whether an operation is this one, or stands in its block.
    fn stands_in(&self, inner: OpId, outer: OpId) -> bool {
        let mut at = Some(inner);
        while let Some(id) = at {
            if id == outer {
                return true;
            }
            at = self.ops.get(&id).and_then(|op| op.within);
        }
        false
    }

    pub(super) fn apply_delta(&mut self, delta: Delta) {
        for (key, value) in delta {
            let replaced = self.context.get(&key).map_or(0, |value| size(&key, value));
            self.context_bytes -= replaced;
            match value {
                Some(json) => {
                    self.context_bytes += size(&key, &json);
                    self.context.insert(key, json);
                }
                None => drop(self.context.remove(&key)),
            }
        }
    }

    /// What a delivered operation wrote. Inside a block it belongs to the block's branch until that
    /// is sealed, since the replay of a sealed branch delivers nothing else.
    pub(super) fn apply_delta_of(&mut self, id: OpId, delta: Delta) {
        let branch = self.ops.get(&id).and_then(|op| op.within);
        match branch.and_then(|id| self.ops.get_mut(&id)) {
            Some(branch) => branch.context.extend(delta),
            None => self.apply_delta(delta),
        }
    }

    /// The entries that have changed since the last commit, as they are now. What the body has said
    /// while it replayed is among them once, since another build may have said something else.
    pub(super) fn changes(&mut self) -> Entries {
        self.changed.append(&mut self.said);
        let changed = std::mem::take(&mut self.changed);
        let now = |key: String| {
            let value = self.latest(&key);
            (key, value)
        };
        changed.into_iter().map(now).collect()
    }

    /// The entry as operators see it: what repeats have written so far, too, which the body
    /// receives at their end.
    fn latest(&self, key: &str) -> Option<Json> {
        let kept = self.ops.values().rev().find_map(|op| op.kept.get(key));
        kept.map_or_else(|| self.context.get(key).cloned(), Clone::clone)
    }

    /// The context as an error row keeps it: every key, values as far as they fit.
    pub(super) fn context_snapshot(&self, id: OpId) -> Option<Json> {
        let mut entries = self.context.clone();
        let op = self.ops.get(&id);
        for (key, value) in op.iter().flat_map(|op| op.kept.iter().chain(&op.context)) {
            match value {
                Some(json) => entries.insert(key.clone(), Json::clone(json)),
                None => entries.remove(key),
            };
        }
        snapshot(&entries)
    }

    /// The body's own context, for an error of the body itself.
    #[must_use]
    pub fn body_snapshot(&self) -> Option<Json> {
        snapshot(&self.context)
    }
}

/// Bytes of an entry in the context's JSON, about.
fn size(key: &str, value: &Json) -> usize {
    key.len() + value.len() + "\"\":,".len()
}

fn snapshot(entries: &BTreeMap<String, Json>) -> Option<Json> {
    if entries.is_empty() {
        return None;
    }
    let mut left = SNAPSHOT_BYTES_MAX;
    let bounded = entries
        .iter()
        .map(|(key, value)| match left.checked_sub(value.len()) {
            Some(rest) => {
                left = rest;
                (&**key, &**value)
            }
            None => (&**key, OMITTED),
        });
    Some(object(bounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(sizes: &[(&str, usize)]) -> BTreeMap<String, Json> {
        sizes
            .iter()
            .map(|(key, size)| {
                (
                    (*key).to_owned(),
                    Json::from(format!("\"{}\"", "x".repeat(*size))),
                )
            })
            .collect()
    }

    #[test]
    fn a_small_context_is_kept_as_it_is() {
        let snapshot = snapshot(&entries(&[("a", 1), ("b\"", 2)])).unwrap();
        assert_eq!(&*snapshot, r#"{"a":"x","b\"":"xx"}"#);
    }

    #[test]
    fn a_value_that_does_not_fit_is_marked_and_later_small_ones_still_fit() {
        let snapshot = snapshot(&entries(&[("a", 70_000), ("b", 3)])).unwrap();
        assert_eq!(&*snapshot, r#"{"a":"<<omitted>>","b":"xxx"}"#);
    }

    #[test]
    fn six_values_of_15_000_bytes_keep_all_keys_within_the_budget() {
        let six: Vec<(String, usize)> = (0..6).map(|i| (i.to_string(), 15_000)).collect();
        let six: Vec<(&str, usize)> = six.iter().map(|(k, n)| (&**k, *n)).collect();
        let snapshot = snapshot(&entries(&six)).unwrap();
        assert_eq!(snapshot.matches("<<omitted>>").count(), 2);
        assert!(snapshot.len() < SNAPSHOT_BYTES_MAX);
    }
}
