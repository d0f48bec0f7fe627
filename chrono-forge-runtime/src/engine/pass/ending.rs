//! The end of a pass in its ledger, and what a refused write leaves to be told.

use super::draft::Draft;
use super::ledger::Ledger;
use crate::error::DefinitionError;
use crate::record::{ErrorRow, Plan, RunEnd};

impl Ledger {
    /// Adds the run's end to the draft. Of a refused run nothing else is written.
    pub fn conclude(&mut self, end: RunEnd, errors: Vec<ErrorRow>) {
        if self.refused {
            self.draft = Draft::new(Plan::new(self.draft.plan.fence, self.draft.plan.parent));
            self.context_stale = false;
        }
        self.tells = self.refused;
        self.wake_at = match &end {
            RunEnd::Parked { wake_at, .. } => *wake_at,
            RunEnd::Retrying { wake_at, .. } => Some(*wake_at),
            _ => None,
        };
        self.draft.plan.errors.extend(errors);
        self.draft.plan.end = Some(end);
    }

    /// Whether the body is gone, and what it submitted last was refused or waits behind what was.
    pub(super) fn is_refusal_untold(&self) -> bool {
        self.refused && !self.tells && self.ended.is_some()
    }

    /// Why no other end than a failure can be written any more.
    #[must_use]
    pub fn refusal(&self) -> Option<DefinitionError> {
        self.fatal.clone().filter(|_| self.refused)
    }
}
