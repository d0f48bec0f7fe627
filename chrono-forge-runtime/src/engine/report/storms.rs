//! Storms: one cause that meets a thousand runs is told a few times, then counted, and the count
//! told once in a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::telemetry::TARGET;

/// So many lines of one kind and workflow are told one by one within a span of time; the rest is
/// counted.
const BURST: u32 = 10;

/// That span, and how often the count is told while a storm lasts.
const SPAN: Duration = Duration::from_secs(60);

/// Lines that storms are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Retried,
    Rerun,
    TickFailed,
    Skipped,
    Unclaimed,
    CutOff,
    GaveBack,
    LostPass,
    Stalled,
    Failed,
    Quarantined,
}

impl Kind {
    /// Whether somebody has to do something.
    fn is_error(self) -> bool {
        matches!(self, Self::Stalled | Self::Failed | Self::Quarantined)
    }

    fn what(self) -> &'static str {
        match self {
            Self::Retried => "more attempts failed and are tried again",
            Self::Rerun => "more bodies failed and run again",
            Self::TickFailed => "more ticks failed for good",
            Self::Skipped => "more stretches of ticks were skipped",
            Self::Unclaimed => "more records are asked for by nothing",
            Self::CutOff => "more steps were cut off by the shutdown, and run again",
            Self::GaveBack => "more times a run was left to who can read its arguments",
            Self::LostPass => "more times a run lost its pass",
            Self::Stalled => {
                "more runs stalled: mend the cause, then forge.retry_all takes them up again"
            }
            Self::Failed => {
                "more runs failed: mend the cause, then forge.retry_all takes them up again"
            }
            Self::Quarantined => "more runs began in quarantine: find what kills the process",
        }
    }
}

/// What happens, by kind and workflow.
#[derive(Debug, Default)]
pub(super) struct Storms(Mutex<HashMap<(Kind, String), Storm>>);

#[derive(Debug)]
struct Storm {
    since: Instant,
    told: u32,
    /// Counted and not told since then.
    more: u64,
    newest: String,
}

/// What was counted of one kind and workflow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Count {
    kind: Kind,
    workflow: String,
    more: u64,
    within: Duration,
    newest: String,
}

impl Storms {
    /// Whether it is told by a line of its own; otherwise it is counted, with what tells the newest
    /// of them.
    pub(super) fn admit(
        &self,
        kind: Kind,
        workflow: &str,
        newest: impl FnOnce() -> String,
        now: Instant,
    ) -> bool {
        let mut storms = self.lock();
        let storm = storms.entry((kind, workflow.to_owned()));
        let storm = storm.or_insert_with(|| Storm::at(now));
        if storm.is_over(now) && storm.more == 0 {
            *storm = Storm::at(now);
        }
        if storm.told < BURST {
            storm.told += 1;
            return true;
        }
        storm.more += 1;
        storm.newest = newest();
        false
    }

    /// What is to be told by now. A storm goes on until a span has passed in which nothing was
    /// counted.
    pub(super) fn due(&self, now: Instant) -> Vec<Count> {
        let mut counts = Vec::new();
        self.lock().retain(|(kind, workflow), storm| {
            if !storm.is_over(now) {
                return true;
            }
            counts.extend(storm.take(*kind, workflow, now));
            storm.since == now
        });
        counts
    }

    /// What was counted and not told.
    pub(super) fn all(&self) -> Vec<Count> {
        let mut storms = self.lock();
        let now = Instant::now();
        let counts = storms.iter_mut();
        counts
            .filter_map(|((kind, workflow), storm)| storm.take(*kind, workflow, now))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Kind, String), Storm>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storm {
    fn at(now: Instant) -> Self {
        Self {
            since: now,
            told: 0,
            more: 0,
            newest: String::new(),
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SPAN
    }

    /// Its count, if there is one; the next span begins, in which nothing is told one by one.
    fn take(&mut self, kind: Kind, workflow: &str, now: Instant) -> Option<Count> {
        if self.more == 0 {
            return None;
        }
        let within = now.saturating_duration_since(std::mem::replace(&mut self.since, now));
        Some(Count {
            kind,
            workflow: workflow.to_owned(),
            more: std::mem::take(&mut self.more),
            within,
            newest: std::mem::take(&mut self.newest),
        })
    }
}

impl Count {
    pub(super) fn tell(&self) {
        let (workflow, more, newest) = (&*self.workflow, self.more, &*self.newest);
        let (within, what) = (self.within, self.kind.what());
        if self.kind.is_error() {
            tracing::error!(target: TARGET, workflow, ?within, newest, "{more} {what}");
        } else {
            tracing::warn!(target: TARGET, workflow, ?within, newest, "{more} {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many events at this instant; answers how many of them were told.
    fn rain(storms: &Storms, workflow: &str, events: u32, now: Instant) -> usize {
        let told = |n: u32| storms.admit(Kind::Stalled, workflow, || n.to_string(), now);
        (0..events).filter(|n| told(*n)).count()
    }

    #[test]
    fn a_storm_is_told_a_few_times_then_counted_and_told_once_a_span() {
        let (storms, begun) = (Storms::default(), Instant::now());
        assert_eq!(rain(&storms, "w", 1_000, begun), BURST as usize);
        // Another workflow's lines are its own.
        assert_eq!(rain(&storms, "v", 3, begun), 3);
        assert_eq!(storms.due(begun + SPAN / 2), []);
        let [count] = &storms.due(begun + SPAN)[..] else {
            panic!("one storm");
        };
        assert_eq!((count.more, &*count.newest), (990, "999"));
        assert_eq!((&*count.workflow, count.within), ("w", SPAN));
        // It goes on: only its count is told.
        assert_eq!(rain(&storms, "w", 5, begun + SPAN), 0);
        assert_eq!(storms.due(begun + 2 * SPAN)[0].more, 5);
        // A span without any ends it.
        assert_eq!(storms.due(begun + 3 * SPAN), []);
        assert_eq!(rain(&storms, "w", 2, begun + 3 * SPAN), 2);
    }

    #[test]
    fn a_drizzle_is_told_whole_and_nothing_is_left_untold() {
        let (storms, begun) = (Storms::default(), Instant::now());
        for minute in 0..10 {
            let events = BURST;
            assert_eq!(rain(&storms, "w", events, begun + minute * SPAN), 10);
        }
        assert_eq!(rain(&storms, "w", 7, begun + 9 * SPAN), 0);
        assert_eq!(storms.all()[0].more, 7);
        assert_eq!(storms.all(), []);
    }
}
