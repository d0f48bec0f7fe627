//! Heartbeats are counted in the worker's row, so that a worker learns that the database was set back under it: its
//! row is there, but an earlier count is in it. What its passes have seen may then be ahead of what is recorded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::record::WorkerId;

/// What this process knows of the counts in its workers' rows. A store has one of it for all its writers.
#[derive(Debug, Default)]
pub(in crate::store) struct Beats(Mutex<HashMap<WorkerId, Known>>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The row has at least this.
    told: i64,
    /// And at most this, as replies may be lost.
    sent: i64,
}

/// A heartbeat's number, and between which counts its row is to be.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Beat {
    /// `None` leaves the count as it is: somebody else's worker.
    pub(in crate::store) number: Option<i64>,
    pub(in crate::store) least: i64,
    pub(in crate::store) most: i64,
}

impl Beats {
    /// A worker was registered, and no other lives in this process.
    pub(in crate::store) fn begin(&self, worker: WorkerId) {
        self.lock().insert(worker, Known::default());
    }

    /// The next heartbeat of a worker.
    pub(in crate::store) fn next(&self, worker: WorkerId) -> Beat {
        let mut all = self.lock();
        let Some(known) = all.get_mut(&worker) else {
            return Beat {
                number: None,
                least: 0,
                most: i64::MAX,
            };
        };
        known.sent += 1;
        Beat {
            number: Some(known.sent),
            least: known.told,
            most: known.sent,
        }
    }

    /// A heartbeat was written.
    pub(in crate::store) fn written(&self, worker: WorkerId, beat: Beat) {
        if let (Some(known), Some(number)) = (self.lock().get_mut(&worker), beat.number) {
            known.told = known.told.max(number);
        }
    }

    /// A life is over.
    pub(in crate::store) fn end(&self, worker: WorkerId) {
        self.lock().remove(&worker);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Incarnation;

    #[test]
    fn a_count_is_between_what_was_told_and_what_was_sent() {
        let (beats, me) = (Beats::default(), WorkerId(1, Incarnation(2)));
        let seen = |beat: Beat| (beat.number, beat.least, beat.most);
        assert_eq!(seen(beats.next(me)), (None, 0, i64::MAX));
        beats.begin(me);
        let first = beats.next(me);
        assert_eq!(seen(first), (Some(1), 0, 1));
        beats.written(me, first);
        // Its reply is lost.
        assert_eq!(seen(beats.next(me)), (Some(2), 1, 2));
        let third = beats.next(me);
        assert_eq!(seen(third), (Some(3), 1, 3));
        beats.written(me, third);
        assert_eq!(seen(beats.next(me)), (Some(4), 3, 4));
        beats.end(me);
        assert_eq!(beats.next(me).number, None);
    }
}
