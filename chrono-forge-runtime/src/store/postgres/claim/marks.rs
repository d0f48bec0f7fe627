//! How far claims have come in each range of the queue.
//!
//! A claim leaves a dead entry in the index, and until a vacuum takes it away (which it cannot as long as
//! anybody's snapshot is older) each look from the beginning of the range passes over it. So looks begin where the last
//! claim of the range came to. What comes to lie before that place - a run woken by a clock that is behind,
//! one whose commit was late - is found by the looks from the beginning that are done now and then: the
//! dearer they are the rarer, but at least every [`WHOLE_EVERY_MAX`].
//!
//! Measured behind 500,000 claimed entries that no vacuum had seen: a claim of 64 took 30 ms from the beginning and
//! 1.6 ms from the mark; while another session held a snapshot from before, 920 ms and 2.1 ms.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::record::Level;

/// From so many runs taken on a range has a mark. Fewer dead entries cost nothing that could be measured.
const TAKEN_MIN: u64 = 1_000;

/// The share of the time that may go into looks from the beginning: one in so many.
const SHARE: u32 = 20;

/// The longest that a run may lie before its mark unseen.
const WHOLE_EVERY_MAX: Duration = Duration::from_secs(5);

/// Runs of one queue, level and workflow, by when they are due: those at once, or those that waited for an instant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store::postgres) struct Range {
    pub(in crate::store::postgres) queue: Arc<str>,
    pub(in crate::store::postgres) level: Level,
    pub(in crate::store::postgres) workflow: Arc<str>,
    pub(in crate::store::postgres) at_once: bool,
}

/// See the module. One for all connections of the process.
#[derive(Default)]
pub(in crate::store::postgres) struct Marks(Mutex<State>);

#[derive(Default)]
struct State {
    ranges: BTreeMap<Range, Progress>,
    /// The last look from the beginning: when it ended, and how long it took.
    whole: Option<(Instant, Duration)>,
}

struct Progress {
    taken: u64,
    /// The last place of one of them, as it is stored.
    at: Timestamp,
}

impl Marks {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where looks may begin; ranges that are not listed are looked at from their beginning.
    pub(in crate::store::postgres) fn list(&self) -> Vec<(Range, Timestamp)> {
        let state = self.state();
        let has_mark = |(_, progress): &(&Range, &Progress)| progress.taken >= TAKEN_MIN;
        state
            .ranges
            .iter()
            .filter(has_mark)
            .map(|(range, progress)| (range.clone(), progress.at))
            .collect()
    }

    /// Whether it is time for a look from the beginning.
    pub(in crate::store::postgres) fn whole_is_due(&self, now: Instant) -> bool {
        self.state().whole.is_none_or(|(ended, took)| {
            let pause = (took * SHARE).min(WHOLE_EVERY_MAX);
            now.saturating_duration_since(ended) >= pause
        })
    }

    /// A look from the beginning has ended.
    pub(in crate::store::postgres) fn looked_whole(&self, now: Instant, took: Duration) {
        self.state().whole = Some((now, took));
    }

    /// Runs were taken from their ranges, in order; a look takes all that it passes, so the last one tells how far it
    /// came. That may be behind an earlier mark, when a look from the beginning has found more than it had room for.
    pub(in crate::store::postgres) fn took(
        &self,
        runs: impl IntoIterator<Item = (Range, Timestamp)>,
    ) {
        let mut state = self.state();
        for (range, at) in runs {
            let progress = state
                .ranges
                .entry(range)
                .or_insert(Progress { taken: 0, at });
            progress.taken += 1;
            progress.at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(workflow: &str) -> Range {
        Range {
            queue: "default".into(),
            level: Level(4),
            workflow: workflow.into(),
            at_once: true,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_range_has_a_mark_once_many_were_taken_and_it_may_go_back() {
        let marks = Marks::default();
        marks.took((0..999).map(|second| (range("a"), at(second))));
        marks.took([(range("b"), at(7))]);
        assert!(marks.list().is_empty());
        marks.took([(range("a"), at(5_000))]);
        assert_eq!(marks.list(), [(range("a"), at(5_000))]);
        marks.took([(range("a"), at(3)), (range("a"), at(4))]);
        assert_eq!(marks.list(), [(range("a"), at(4))]);
    }

    #[test]
    fn dear_looks_from_the_beginning_are_rarer_but_not_too_rare() {
        let marks = Marks::default();
        let begun = Instant::now();
        let after = |millis| begun + Duration::from_millis(millis);
        assert!(marks.whole_is_due(begun));
        marks.looked_whole(begun, Duration::from_millis(10));
        assert!(!marks.whole_is_due(after(199)));
        assert!(marks.whole_is_due(after(200)));
        marks.looked_whole(begun, Duration::from_secs(60));
        assert!(!marks.whole_is_due(after(4_999)));
        assert!(marks.whole_is_due(after(5_000)));
    }
}
