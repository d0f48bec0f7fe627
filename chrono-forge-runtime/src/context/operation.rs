//! What all primitives share: a seat in the pass, taken at the first poll, left when dropped.

use std::sync::Arc;
use std::task::Context as TaskContext;

use crate::engine::pass::{Kind, OpId, Pass, Place, Turn};
use crate::error::DefinitionError;

/// One operation of one pass.
pub(super) struct Operation {
    pub(super) pass: Arc<Pass>,
    pub(super) place: Place,
    seat: Seat,
}

enum Seat {
    Unregistered(Kind),
    At(OpId),
    /// A rule was broken, or the outcome was delivered.
    Gone,
}

impl Operation {
    pub(super) fn new(pass: &Arc<Pass>, kind_name: &'static str, key: String, kind: Kind) -> Self {
        Self {
            pass: Arc::clone(pass),
            place: Place {
                kind: kind_name,
                key,
            },
            seat: Seat::Unregistered(kind),
        }
    }

    /// One poll. The first registers and is always [`Turn::Pending`].
    pub(super) fn turn(&mut self, cx: &TaskContext<'_>) -> Turn {
        match std::mem::replace(&mut self.seat, Seat::Gone) {
            Seat::Unregistered(kind) => {
                if let Some(id) = self.pass.register(self.place.clone(), kind, cx.waker()) {
                    self.seat = Seat::At(id);
                }
                Turn::Pending
            }
            Seat::At(id) => {
                let turn = self.pass.turn(id, cx.waker());
                if matches!(turn, Turn::Deliver(_)) {
                    self.pass.dropped(id);
                } else {
                    self.seat = Seat::At(id);
                }
                turn
            }
            Seat::Gone => Turn::Pending,
        }
    }

    pub(super) fn id(&self) -> Option<OpId> {
        match self.seat {
            Seat::At(id) => Some(id),
            _ => None,
        }
    }

    /// Ends the run for a broken rule; this operation never completes.
    pub(super) fn break_rule(&mut self, error: DefinitionError) {
        self.pass.break_rule(error);
        if let Seat::At(id) = std::mem::replace(&mut self.seat, Seat::Gone) {
            self.pass.dropped(id);
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        match &self.seat {
            Seat::At(id) => self.pass.dropped(*id),
            // Not polled once, as in a race that another arm had won already.
            Seat::Unregistered(Kind::Merge { branches }) => self.pass.give_up(branches),
            Seat::Unregistered(_) | Seat::Gone => {}
        }
    }
}
