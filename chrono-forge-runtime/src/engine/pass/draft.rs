//! The draft: what a pass has to write and has not yet submitted.

use crate::record::{ErrorRow, Plan, Record, RecordState, Withdrawal};

/// A plan in the making. It is submitted whole, so what belongs together is written together.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) plan: Plan,
    delivers: bool,
    /// About what the plan carries.
    bytes: usize,
}

impl Draft {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            delivers: false,
            bytes: 0,
        }
    }

    /// So much more is carried.
    pub(super) fn weigh(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// About what the plan carries: what was replaced counts, too.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes a record's newest state.
    pub(super) fn record(&mut self, mut record: Record) {
        self.weigh(record.bytes());
        // Reached again after it was dropped: withdrawals come last, and the row is there to stay.
        if !self.plan.withdrawals.is_empty() {
            let is_other = |withdrawal: &Withdrawal| withdrawal.step_name != record.step_name;
            self.plan.withdrawals.retain(is_other);
        }
        if let Some(earlier) = self
            .plan
            .records
            .iter_mut()
            .find(|r| r.step_name == record.step_name)
        {
            record.started_at = earlier.started_at.or(record.started_at);
            *earlier = record;
        } else {
            self.plan.records.push(record);
        }
    }

    /// Writes an outcome that the body receives now.
    pub(super) fn deliver(&mut self, record: Record, errors: Vec<ErrorRow>) {
        self.record(record);
        self.weigh(errors.iter().map(ErrorRow::bytes).sum());
        self.plan.errors.extend(errors);
        self.delivers = true;
    }

    /// Has what was drafted so far durable before the next effect.
    pub(super) fn raise_barrier(&mut self) {
        self.delivers = true;
    }

    /// Deletes a pending row whose operation is gone.
    pub(super) fn withdraw(&mut self, withdrawal: Withdrawal) {
        self.plan.records.retain(|record| {
            record.step_name != withdrawal.step_name || record.state != RecordState::Pending
        });
        self.plan.withdrawals.push(withdrawal);
    }

    /// Whether an outcome that the body has seen waits here.
    pub(super) fn delivers(&self) -> bool {
        self.delivers
    }

    /// Takes the plan if it writes anything.
    pub(super) fn take(&mut self) -> Option<(Plan, bool)> {
        let plan = &self.plan;
        let writes = !plan.records.is_empty()
            || !plan.withdrawals.is_empty()
            || !plan.errors.is_empty()
            || !plan.dispatches.is_empty()
            || !plan.context.is_empty()
            || plan.consumes_wake
            || plan.level.is_some()
            || plan.progress
            || plan.end.is_some();
        if !writes {
            return None;
        }
        let next = Plan::new(plan.fence, plan.parent);
        self.bytes = 0;
        Some((
            std::mem::replace(&mut self.plan, next),
            std::mem::take(&mut self.delivers),
        ))
    }
}
