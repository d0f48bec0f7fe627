//! The order of outcomes: recorded ones in their places, live ones as they came, one per poll.

use std::sync::Arc;

use super::delta;
use super::ledger::{LastOutcome, Ledger, Move};
use super::operation::{LiveOutcome, Phase};
use super::seats::Joined;
use super::{Kind, OpId, Outcome, Place};
use crate::engine::report::Fault;
use crate::error::DefinitionError;
use crate::record::{Json, RecordState};

impl Ledger {
    /// Hands the outcome with the lowest place to its operation.
    pub(super) fn release_recorded(&mut self) -> Option<Move> {
        let (seq, id) = self.recorded.pop_first()?;
        let op = self.ops.get_mut(&id)?;
        let Phase::Recorded(row) = &op.phase else {
            return Some(Move::Poll);
        };
        if row.result.is_none() && row.result_bytes > 0 {
            let record = row.id;
            return Some(Move::LoadResult(id, record));
        }
        let outcome = Outcome::of_row(row);
        let delta = match delta::of_text(row.context_delta.as_deref()) {
            Ok(delta) => delta,
            Err(problem) => {
                let error = unreadable(&op.place, problem);
                self.break_rule(error);
                return Some(Move::Poll);
            }
        };
        self.replayed = seq;
        self.keep_inner(id);
        self.deliver(id, outcome);
        self.apply_delta_of(id, delta);
        Some(Move::Poll)
    }

    /// Whether the body recomputes what it already said. Records may be left that nobody asks for
    /// any more (steps of a sealed branch's block), so their number tells nothing.
    pub(super) fn is_replaying(&self) -> bool {
        !self.beyond_history && self.replayed < self.history.seq_last()
    }

    /// A large recorded value was read.
    pub fn result_loaded(&mut self, id: OpId, result: Option<Json>) {
        let op = self.ops.get_mut(&id);
        if let Some(Phase::Recorded(row)) = op.map(|op| &mut op.phase) {
            row.result = result;
            row.result_bytes = 0;
            let seq = row.seq.unwrap_or(0);
            self.recorded.insert(seq, id);
        }
    }

    /// Gives the oldest live outcome its place in the order and hands it to its operation.
    pub(super) fn release_live(&mut self) -> Option<Move> {
        let id = self.done.pop_front()?;
        let op = self.ops.get_mut(&id)?;
        let Phase::Done(live) = std::mem::replace(&mut op.phase, Phase::Abandoned) else {
            return Some(Move::Poll);
        };
        let LiveOutcome {
            mut record,
            errors,
            context,
        } = *live;
        let seals = matches!(op.kind, Kind::Branch);
        self.seq += 1;
        record.seq = Some(self.seq);
        let outcome = Outcome::of_record(&record);
        if record.state == RecordState::Completed {
            self.note_progress();
        }
        self.keep_inner_record(id, &record);
        self.draft.deliver(record, errors);
        if seals {
            // A merge may wait for this seal already; it looks again once the seal is durable.
            self.recheck = Some(self.submitted + 1);
        }
        self.changed.extend(context.keys().cloned());
        self.deliver(id, outcome);
        self.apply_delta_of(id, context);
        Some(Move::Poll)
    }

    fn deliver(&mut self, id: OpId, outcome: Outcome) {
        let failed = outcome.state == RecordState::Failed;
        let fault = failed.then(|| {
            let class = outcome.class.as_deref().unwrap_or_default();
            Box::new(Fault::of(
                class,
                outcome.message.as_deref().unwrap_or_default(),
            ))
        });
        let Some(op) = self.ops.get_mut(&id) else {
            return;
        };
        self.last_outcome = Some(LastOutcome {
            step_name: Arc::clone(&op.step_name),
            failed,
            attempts: outcome.attempts,
            fault,
        });
        match &op.kind {
            Kind::Merge { branches } => {
                for branch in branches {
                    self.branches.insert(branch.clone(), Joined::Yes);
                }
            }
            // A branch that gave up has no handle to merge.
            Kind::Branch if failed => {
                self.branches.remove(&op.place.key);
            }
            _ => {}
        }
        op.phase = Phase::Released(outcome);
        self.to_wake.extend(op.waker.take());
    }

    pub(super) fn note_progress(&mut self) {
        self.progressed = true;
        if std::mem::take(&mut self.resets_progress) {
            self.draft.plan.progress = true;
        }
    }
}

/// What an operation wrote to the context does not read as that.
pub(super) fn unreadable(place: &Place, problem: String) -> DefinitionError {
    DefinitionError::Undecodable {
        place: place.to_string(),
        type_name: "entries of the context",
        problem,
    }
}
