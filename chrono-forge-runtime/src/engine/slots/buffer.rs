//! Claimed runs that wait for a slot: the most urgent level first, in a level the oldest.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::record::{ClaimedRun, Level};

/// Every so many runs the least urgent level goes first, so that who was claimed is executed.
const LOWEST_FIRST_EVERY: u64 = 16;

#[derive(Debug, Default)]
pub(super) struct Buffer {
    /// No queue of it is empty.
    by_level: BTreeMap<Level, VecDeque<(Instant, ClaimedRun)>>,
    len: usize,
    /// Of the arguments.
    bytes: usize,
    urgent: usize,
    taken: u64,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Runs of urgent levels.
    pub(super) fn urgent(&self) -> usize {
        self.urgent
    }

    pub(super) fn push(&mut self, run: ClaimedRun, now: Instant) {
        self.len += 1;
        self.urgent += usize::from(run.level.is_urgent());
        self.bytes += run.args.len();
        let level = self.by_level.entry(run.level).or_default();
        level.push_back((now, run));
    }

    pub(super) fn pop(&mut self) -> Option<ClaimedRun> {
        self.taken += 1;
        let lowest_first = self.taken.is_multiple_of(LOWEST_FIRST_EVERY);
        let mut level = match lowest_first {
            true => self.by_level.last_entry()?,
            false => self.by_level.first_entry()?,
        };
        let run = level.get_mut().pop_front();
        if level.get().is_empty() {
            level.remove();
        }
        let (_, run) = run?;
        self.forget(&run);
        Some(run)
    }

    fn forget(&mut self, run: &ClaimedRun) {
        self.len -= 1;
        self.bytes -= run.args.len();
        self.urgent -= usize::from(run.level.is_urgent());
    }

    /// What all that waits here weighs.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when the oldest run waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let first = self.by_level.values().filter_map(VecDeque::front);
        first.map(|(since, _)| *since).min()
    }

    /// Takes what waits since this moment or longer.
    pub(super) fn take_older(&mut self, than: Instant) -> Vec<ClaimedRun> {
        let mut taken = Vec::new();
        for level in self.by_level.values_mut() {
            let young = level.partition_point(|(since, _)| *since <= than);
            taken.extend(level.drain(..young).map(|(_, run)| run));
        }
        self.by_level.retain(|_, level| !level.is_empty());
        for run in &taken {
            self.forget(run);
        }
        taken
    }

    /// Everything, and nothing is left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = ClaimedRun> {
        let levels = std::mem::take(self).by_level;
        levels.into_values().flatten().map(|(_, run)| run)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;
    use crate::record::Priority;

    fn levels(buffer: &mut Buffer, runs: usize) -> Vec<Level> {
        std::iter::from_fn(|| buffer.pop())
            .take(runs)
            .map(|run| run.level)
            .collect()
    }

    #[test]
    fn the_most_urgent_run_goes_first_and_every_sixteenth_time_the_least_urgent() {
        let mut buffer = Buffer::default();
        let (top, child) = (
            Level::top(Priority::Normal),
            Level::child(Priority::Normal, 10_000),
        );
        for level in [child, top].repeat(20) {
            buffer.push(run(level), Instant::now());
        }
        assert_eq!((buffer.len(), buffer.urgent()), (40, 20));
        let mut expected = vec![top; 15];
        expected.push(child);
        expected.extend([top; 5]);
        expected.extend([child; 19]);
        assert_eq!(levels(&mut buffer, 40), expected);
        assert!(buffer.is_empty() && buffer.urgent() == 0 && buffer.pop().is_none());
    }

    #[test]
    fn nothing_is_left_of_a_drained_buffer() {
        let mut buffer = Buffer::default();
        buffer.push(run(Level::top(Priority::Low)), Instant::now());
        assert_eq!(buffer.drain().count(), 1);
        assert!(buffer.is_empty() && buffer.urgent() == 0);
    }
}
