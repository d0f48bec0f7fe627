//! Seats: what an operation finds at its first poll, and what it leaves when it is dropped.
//!
//! Who is dropped before the body has received it gives its history back, in a block as outside: what is
//! recorded stays recorded, and the next one of its name finds it. A join may be reached again like that; any
//! other key is one operation of its pass.

use std::sync::Arc;

use jiff::Timestamp;

use super::delta;
use super::history::{pending_again, row_of};
use super::ledger::{Delta, Ledger};
use super::operation::{Operation, Phase};
use super::order::unreadable;
use super::repeat::{has_ticked, left_behind, tick_row};
use super::spawn::Scope;
use super::{Kind, OpId, Pass, Place};
use crate::error::DefinitionError;
use crate::record::keys::short_name;
use crate::record::{Notes, Record, RecordRow, RecordState, Withdrawal};

/// What became of a branch's children in this pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Nobody has joined them.
    Not,
    /// The body has received the join.
    Yes,
    /// The body dropped the dispatch or the join. It may come back for them.
    GivenUp,
}

impl Pass {
    /// The name of an operation's row.
    #[must_use]
    pub fn name_of(&self, place: &Place) -> Arc<str> {
        self.ledger().name_of(place)
    }

    /// The body dropped a join that it had never polled.
    pub fn give_up(&self, branches: &[String]) {
        let mut ledger = self.ledger();
        if ledger.live {
            ledger.give_up(branches);
        }
    }
}

impl Ledger {
    /// The name of an operation's row: its own, or a digest of it where no index can hold that.
    /// Rows from before there were digests are found under their own.
    pub(super) fn name_of(&self, place: &Place) -> Arc<str> {
        let name = place.full_name();
        let Some(short) = short_name(&name) else {
            return name.into();
        };
        match self.is_known(&name) {
            true => name.into(),
            false => short.into(),
        }
    }

    /// Whether there is a row of this name, or an operation has taken it.
    fn is_known(&self, name: &str) -> bool {
        self.history.has(name)
            || self.reached.contains(name)
            || self.leaving.iter().any(|op| *op.step_name == *name)
    }

    /// An operation's first poll: it never completes here, so that outcomes have one order.
    pub(super) fn register(&mut self, place: Place, kind: Kind) -> Result<OpId, DefinitionError> {
        place.check_key(
            |place| self.is_known(&place.full_name()),
            |branch| self.branches.contains_key(branch),
        )?;
        self.check_surroundings(&place, &kind)?;
        let step_name = self.name_of(&place);
        let block = self.block();
        self.check_owner(&place, self.of_blocks.get(&step_name), block.as_ref())?;
        if !self.reached.insert(Arc::clone(&step_name)) {
            return Err(DefinitionError::DuplicateKey {
                place: place.to_string(),
            });
        }
        let id = OpId(self.next_op);
        self.next_op += 1;
        if matches!(kind, Kind::Branch) {
            self.branches.insert(place.key.clone(), Joined::Not);
        }
        let (phase, mut record) = self.recall(id, &place, &step_name, block.as_ref())?;
        if matches!(phase, Phase::Fresh) {
            self.fresh.push_back(id);
        }
        let kept = match (&kind, &record) {
            (Kind::Repeat(_), Some(record)) => delta::of_text(record.context_delta.as_deref())
                .map_err(|problem| unreadable(&place, problem))?,
            _ => Delta::new(),
        };
        let found = record.as_mut().and_then(|record| record.metadata.take());
        let mut notes = Notes::of_text(found.as_deref());
        if let Some(branch) = block {
            self.of_blocks
                .insert(Arc::clone(&step_name), branch.clone());
            notes.within = Some(branch);
        }
        // A name holds its key, unless it is a digest.
        if step_name.len() < place.key.len() {
            notes.name = Some(place.full_name());
        }
        let operation = Operation {
            notes,
            found,
            place,
            step_name,
            kind,
            phase,
            record,
            waker: None,
            context: Delta::new(),
            bases: Delta::new(),
            tick: None,
            kept,
            // Only a branch block may have operations inside.
            within: self.active,
        };
        self.ops.insert(id, Box::new(operation));
        self.note_inner(id);
        Ok(id)
    }

    /// What is there of this name: recorded, pending, or nothing.
    fn recall(
        &mut self,
        id: OpId,
        place: &Place,
        step_name: &str,
        block: Option<&String>,
    ) -> Result<(Phase, Option<Record>), DefinitionError> {
        if let Some(at) = self
            .leaving
            .iter()
            .position(|op| &*op.step_name == step_name)
        {
            // Dropped and reached again in one poll: it goes on.
            return Ok((Phase::Fresh, self.leaving.swap_remove(at).record));
        }
        let Some(mut row) = self.history.take(step_name) else {
            return Ok((Phase::Fresh, None));
        };
        if let Some(owner) = Notes::within_of(row.metadata.as_deref()) {
            self.check_owner(place, Some(&owner), block)?;
        }
        if row.state == RecordState::Pending {
            return Ok((Phase::Fresh, Some(pending_again(*row))));
        }
        // One without a place was written by a build that gave none to what the body had dropped: it comes
        // last.
        let seq = row.seq.unwrap_or(self.seq + 1);
        self.seq = self.seq.max(seq);
        row.seq = Some(seq);
        self.recorded.insert(seq, id);
        Ok((Phase::Recorded(row), None))
    }

    /// The branch whose block is being polled.
    fn block(&self) -> Option<String> {
        let op = self.active.and_then(|id| self.ops.get(&id))?;
        matches!(op.kind, Kind::Branch).then(|| op.place.key.clone())
    }

    /// A block that is sealed runs no more, and so what it has recorded would pass for the outcome of another
    /// step of the same key.
    fn check_owner(
        &self,
        place: &Place,
        owner: Option<&String>,
        block: Option<&String>,
    ) -> Result<(), DefinitionError> {
        match owner {
            Some(branch) if Some(branch) != block => Err(DefinitionError::KeyOfBlock {
                place: place.to_string(),
                branch: branch.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn check_surroundings(&self, place: &Place, kind: &Kind) -> Result<(), DefinitionError> {
        let Some(active) = self.active.and_then(|op| self.ops.get(&op)) else {
            return Ok(());
        };
        let (inside, remedy) = match (&active.kind, kind) {
            (Kind::Branch, Kind::Step { .. }) => return Ok(()),
            (Kind::Branch, _) => (
                "a branch block",
                "a branch block only dispatches; put it into the workflow before or after, or into a child workflow",
            ),
            _ => (
                "a step body",
                "a step is one effect; make it a step of its own, before or after",
            ),
        };
        Err(DefinitionError::NotHere {
            place: place.to_string(),
            inside: format!("{inside} ({})", active.place),
            remedy,
        })
    }

    /// The body dropped an operation.
    ///
    /// The scope of a branch is for the caller to drop, who holds no lock: it may have an error of the user's.
    pub(super) fn dropped(&mut self, id: OpId) -> Option<Scope> {
        let op = *self.ops.remove(&id)?;
        let scope = self.scopes.remove(&id);
        if self.live && self.fatal.is_none() && !self.lost {
            self.leave(id, op);
        }
        scope
    }

    fn leave(&mut self, id: OpId, mut op: Operation) {
        if !matches!(op.phase, Phase::Abandoned) {
            match &op.kind {
                Kind::Merge { branches } => {
                    self.reached.remove(&op.step_name);
                    self.give_up(branches);
                }
                Kind::Branch => self.give_up(std::slice::from_ref(&op.place.key)),
                _ => {}
            }
        }
        match std::mem::replace(&mut op.phase, Phase::Abandoned) {
            // It finished, and the body went on without it. Its place comes after everything that the
            // body has seen, so a replay drops it again before its turn; only a body that takes another
            // way, as after a retry, receives it.
            Phase::Done(mut live) => {
                self.done.retain(|done| *done != id);
                if matches!(op.kind, Kind::Repeat(_)) {
                    self.changed.extend(live.context.keys().cloned());
                }
                self.seq += 1;
                live.record.seq = Some(self.seq);
                self.give_back(op.within, row_of(&live.record));
                self.draft.record(live.record);
                self.draft.plan.errors.extend(live.errors);
            }
            Phase::Recorded(row) => {
                self.recorded.retain(|_, recorded| *recorded != id);
                self.give_back(op.within, *row);
            }
            // Its place was given to it, and what it wrote to the context is there. A step of a block gave its
            // row to the block when it was released.
            Phase::Released(outcome) if op.within.is_none() => {
                self.give_back(None, outcome.into_row(&op.step_name));
            }
            Phase::Released(_) | Phase::Abandoned => {}
            Phase::Fresh | Phase::Executing(_) | Phase::Parked { .. } | Phase::Checking => {
                self.fresh.retain(|fresh| *fresh != id);
                if op.within.is_none() {
                    self.leaving.push(op);
                } else if let Some(row) = pending_row(&op) {
                    self.give_back(op.within, row);
                }
            }
        }
    }

    /// What an operation leaves behind goes where the next one of its name looks: in a block that is its next
    /// attempt.
    fn give_back(&mut self, within: Option<OpId>, row: RecordRow) {
        match within {
            None => self.history.put_back(row),
            Some(branch) => self.keep_inner_row(branch, row),
        }
    }

    /// Deletes the rows of dropped operations that only waited. The row of a step tells of attempts,
    /// that of a branch has children.
    pub(super) fn withdraw_leaving(&mut self) {
        for op in self.leaving.drain(..) {
            if op.record.is_none() || matches!(op.kind, Kind::Step { .. } | Kind::Branch) {
                continue;
            }
            // The context that operators see had it, and the body will not.
            self.changed.extend(op.kept.keys().cloned());
            if let Some(step_name) = tick_row(&op) {
                self.draft.withdraw(Withdrawal { step_name });
            }
            if has_ticked(&op) {
                self.draft.record(left_behind(op));
                continue;
            }
            let step_name = op.step_name;
            self.draft.withdraw(Withdrawal { step_name });
        }
    }

    fn give_up(&mut self, branches: &[String]) {
        for name in branches {
            if let Some(joined @ Joined::Not) = self.branches.get_mut(name) {
                *joined = Joined::GivenUp;
            }
        }
    }

    /// A dispatch that the body dropped goes on no more, and nobody else would seal its branch: who joins it
    /// all the same joins what was dispatched by then.
    pub(super) fn close_given_up(
        &mut self,
        branches: &[String],
        is_open: impl Fn(&str) -> bool,
        now: Timestamp,
    ) {
        for name in branches {
            let is_under_way =
                |op: &Operation| matches!(op.kind, Kind::Branch) && op.place.key == *name;
            let place = Place {
                kind: "branch",
                key: name.clone(),
            };
            let step_name = self.name_of(&place);
            if self.branches.get(name) != Some(&Joined::GivenUp)
                || self.ops.values().any(|op| is_under_way(op))
                || !is_open(&step_name)
            {
                continue;
            }
            // Its place comes after what decided that it was dropped: a replay drops it again before that.
            self.seq += 1;
            let mut record = Record::pending(step_name, now);
            record.state = RecordState::Completed;
            record.seq = Some(self.seq);
            record.completed_at = Some(now);
            self.draft.record(record);
            self.recheck = Some(self.submitted + 1);
        }
    }

    /// Branches that were opened, and neither merged nor given up.
    #[must_use]
    pub fn unmerged(&self) -> Vec<&str> {
        self.branches
            .iter()
            .filter(|(_, joined)| **joined == Joined::Not)
            .map(|(name, _)| &**name)
            .collect()
    }
}

/// What is pending of an operation, as the next one of its name finds it.
fn pending_row(op: &Operation) -> Option<RecordRow> {
    let mut row = row_of(op.record.as_ref()?);
    let noted = || op.found.clone().or_else(|| op.notes.to_json());
    row.metadata = row.metadata.or_else(noted);
    Some(row)
}
