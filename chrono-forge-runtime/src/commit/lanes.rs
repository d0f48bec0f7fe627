//! Plans in the order in which transactions take them: two lanes, each first in, first out.
//!
//! While a large fan-out finishes, thousands of plans wait. Those of urgent runs pass them by and have
//! up to half of each transaction, so neither lane waits for the other to run dry. A pass keeps to one
//! lane, so its plans stay in order.

use std::collections::VecDeque;

use super::BatchLimits;
use super::queue::Submission;

#[derive(Default)]
pub(super) struct Lanes {
    urgent: VecDeque<Submission>,
    others: VecDeque<Submission>,
    /// The last batch had room for urgent plans only: the others go first in the next.
    passed_by: bool,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.others.is_empty()
    }

    pub(super) fn push(&mut self, submission: Submission) {
        match submission.urgent {
            true => self.urgent.push_back(submission),
            false => self.others.push_back(submission),
        }
    }

    /// The plans of one transaction. One that must travel alone does.
    pub(super) fn take_batch(&mut self, limits: BatchLimits) -> Vec<Submission> {
        let mut batch: Vec<Submission> = Vec::new();
        let mut bytes = 0;
        let mut of_others = 0;
        let passed_by = std::mem::take(&mut self.passed_by);
        loop {
            let share = match passed_by {
                true if of_others == 0 => 0,
                _ => limits.plans_max / 2,
            };
            let (lane, others) = self.next_lane(batch.len() - of_others < share);
            let Some(next) = lane.front() else { break };
            let size = next.plan.bytes();
            let alone = size > limits.alone_bytes;
            let full = batch.len() >= limits.plans_max || bytes + size > limits.bytes_max;
            if !batch.is_empty() && (full || alone) {
                break;
            }
            bytes += size;
            of_others += usize::from(others);
            batch.extend(lane.pop_front());
            if alone {
                break;
            }
        }
        self.passed_by = of_others == 0 && !self.others.is_empty();
        batch
    }

    /// The lane to take from, and whether it is the others'.
    fn next_lane(&mut self, urgent_first: bool) -> (&mut VecDeque<Submission>, bool) {
        if self.others.is_empty() || urgent_first && !self.urgent.is_empty() {
            return (&mut self.urgent, false);
        }
        (&mut self.others, true)
    }
}

#[cfg(test)]
mod tests;
