//! Who is promised a child: worked out from the edits of the table and from how far the reader durably was
//! before and after each of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono_forge_tests::process::Ground;
use chrono_forge_tests::shop::{self, ShopPool, customers};
use diesel::prelude::*;
use serde::Deserialize;

use super::Random;

/// Whether a row has a child in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Child,
    None,
    /// The edit met the reader so closely that either keeps the promise.
    Either,
}

/// How far the reader is, as far as that is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) cursor: Option<i64>,
    pub(super) again: bool,
    pub(super) is_sealed: bool,
    pub(super) spawned: u64,
    pub(super) pending: u64,
}

#[derive(Deserialize)]
struct BranchRow {
    state: i64,
    spawned: u64,
    pending: u64,
    metadata: String,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    cursors: BTreeMap<String, Cursor>,
}

#[derive(Deserialize)]
struct Cursor {
    pk: Option<i64>,
    #[serde(default)]
    again: bool,
}

impl Seen {
    pub(super) fn now(ground: &Ground) -> Self {
        let branch = "SELECT state, spawned, pending, coalesce(metadata, '{}') AS metadata
            FROM chrono_forge_execution_logs WHERE step_name = 'branch$bills'";
        let Some(row) = ground.look().rows::<BranchRow>(branch, &[]).pop() else {
            return Self::default();
        };
        let mut metadata: Metadata = serde_json::from_str(&row.metadata).unwrap();
        let cursor = metadata.cursors.remove("row");
        Self {
            cursor: cursor.as_ref().and_then(|cursor| cursor.pk),
            again: cursor.is_some_and(|cursor| cursor.again),
            is_sealed: row.state == 1,
            spawned: row.spawned,
            pending: row.pending,
        }
    }

    /// How much of everything is done: each reading and the work of the children count as much.
    pub(super) fn progress(&self, ledger: &Ledger) -> f64 {
        let readings = if ledger.is_snapshot { 2.0 } else { 1.0 };
        let passed = self.cursor.unwrap_or(0) as f64 / ledger.highest as f64;
        let read = match self.is_sealed {
            true => readings,
            false => passed + f64::from(u8::from(self.again)),
        };
        let worked = (self.spawned - self.pending) as f64 / (ledger.highest / 10) as f64;
        (read + worked) / (readings + 1.0)
    }

    /// Whether the reading that decides has durably passed this key: the second one of a snapshot.
    fn has_passed(&self, key: i64, is_snapshot: bool) -> bool {
        let decides = self.again || !is_snapshot;
        self.is_sealed || decides && self.cursor.is_some_and(|cursor| key <= cursor)
    }
}

/// The table, its edits, and what they promise.
pub(super) struct Ledger {
    pool: ShopPool,
    is_snapshot: bool,
    /// More rows than are read, but not yet durable, at any moment: a batch that is written, one that is
    /// made, the row that tells whether a page is the last, and room for rows that enter among them.
    ahead_max: i64,
    highest: i64,
    due: BTreeMap<i64, Due>,
    removed: BTreeSet<i64>,
    inserted: BTreeSet<i64>,
}

impl Ledger {
    /// Rows 10, 20, .. of which each is promised a child.
    pub(super) fn new(ground: &Ground, rows: i64, of: u64, is_snapshot: bool) -> Self {
        let pool = shop::open(ground.folder());
        let keys = || (1..=rows).map(|n| n * 10);
        shop::insert(&pool, keys());
        Self {
            pool,
            is_snapshot,
            ahead_max: 4 * of as i64 + 50,
            highest: rows * 10,
            due: keys().map(|key| (key, Due::Child)).collect(),
            removed: BTreeSet::new(),
            inserted: BTreeSet::new(),
        }
    }

    /// Adds or removes a row somewhere.
    pub(super) fn edit(&mut self, ground: &Ground, random: &mut Random) {
        let key = random.below(self.highest as u64 + 100) as i64 + 1;
        let before = Seen::now(ground);
        let is_there = self.due.contains_key(&key) && !self.removed.contains(&key);
        if is_there || random.below(2) == 0 {
            let key = (key / 10).max(1) * 10;
            if key <= self.highest && self.removed.insert(key) {
                let had_child = has_child(ground, key);
                shop::remove(&self.pool, &[key]);
                let due = self.after_removal(key, had_child, &before, &Seen::now(ground));
                self.due.insert(key, due);
            }
        } else if self.inserted.insert(key) && !self.due.contains_key(&key) {
            shop::insert(&self.pool, [key]);
            let due = self.after_insertion(key, &before, &Seen::now(ground));
            self.due.insert(key, due);
        }
    }

    fn after_insertion(&self, key: i64, before: &Seen, after: &Seen) -> Due {
        if before.has_passed(key, self.is_snapshot) {
            Due::None
        } else if self.is_unread(key, after) {
            Due::Child
        } else {
            Due::Either
        }
    }

    fn after_removal(&self, key: i64, had_child: bool, before: &Seen, after: &Seen) -> Due {
        let is_missed = before.has_passed(key, self.is_snapshot);
        if had_child {
            Due::Child
        } else if is_missed || self.is_unread_by_both(key, before, after) {
            Due::None
        } else {
            Due::Either
        }
    }

    /// Whether the reading that decides cannot have come to this key yet.
    fn is_unread(&self, key: i64, seen: &Seen) -> bool {
        if seen.is_sealed {
            return false;
        }
        let from = seen.cursor.unwrap_or(0);
        match self.is_snapshot && !seen.again {
            // The first reading cannot have ended.
            true => self.is_far(from, self.highest + 1_000),
            false => self.is_far(from, key),
        }
    }

    /// Whether neither reading has read a row that had no child: the first was over, or durably behind it,
    /// or is still far before it; and the one that decides is.
    fn is_unread_by_both(&self, key: i64, before: &Seen, after: &Seen) -> bool {
        let is_behind = before.cursor.is_some_and(|cursor| key <= cursor);
        let is_before = !after.again && self.is_far(after.cursor.unwrap_or(0), key);
        self.is_unread(key, after) && (before.again || is_behind || is_before)
    }

    /// Whether so many rows lie between that the reader cannot have come so far.
    fn is_far(&self, from: i64, to: i64) -> bool {
        let mut conn = self.pool.get().expect("a connection");
        let between = customers::table
            .filter(customers::id.gt(from))
            .filter(customers::id.lt(to));
        let between: i64 = between.count().get_result(&mut conn).expect("a number");
        between > self.ahead_max
    }

    /// Fails unless these are the children that are promised; says how many of each kind there were.
    pub(super) fn compare(&self, children: &BTreeSet<i64>) -> String {
        let wrong: Vec<_> = (self.due.iter())
            .filter(|(key, due)| match due {
                Due::Child => !children.contains(key),
                Due::None => children.contains(key),
                Due::Either => false,
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{} broken promises: {wrong:?}",
            wrong.len()
        );
        let unknown: Vec<_> = children
            .iter()
            .filter(|key| !self.due.contains_key(key))
            .collect();
        assert!(unknown.is_empty(), "children of no row: {unknown:?}");
        let told = |keys: &BTreeSet<i64>| {
            [Due::Child, Due::None, Due::Either].map(|due| {
                keys.iter()
                    .filter(|key| self.due.get(key) == Some(&due))
                    .count()
            })
        };
        let ([a, b, c], [d, e, f]) = (told(&self.inserted), told(&self.removed));
        assert!(a > 0 && d + e > 0, "nothing that was edited had a promise");
        format!(
            "of the rows that entered {a} had a child, {b} were missed, {c} met the reader; of those that \
             left {d} had a child, {e} had none, {f} met the reader"
        )
    }
}

fn has_child(ground: &Ground, key: i64) -> bool {
    let sql = format!(
        "SELECT count(*) FROM chrono_forge_workflows
        WHERE workflow = 'billed_row' AND key = 'p$bills$row${key}'"
    );
    ground.look().number(&sql, &[]) > 0
}
