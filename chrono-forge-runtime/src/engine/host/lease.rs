//! The worker's life: its row, its lease, and whether the lease may be trusted.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Host;
use crate::clock::Moment;
use crate::record::{Epoch, RunId, WorkerId};

impl Host {
    /// Registered, at first or anew, by a call that was asked at this moment.
    pub fn enter(&self, worker: WorkerId, asked: Moment) {
        self.holdings.enter(worker);
        self.renewed(asked);
        // What was taken from this worker's last life may be due.
        self.work.notify_one();
    }

    /// A row was written for this worker, which may not have entered yet. On the thread that wrote it, so that the end,
    /// which asks there, misses none.
    pub fn note_registered(&self, worker: WorkerId) {
        *self
            .registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(worker);
    }

    /// The newest row of this process among the workers.
    pub fn registered(&self) -> Option<WorkerId> {
        *self
            .registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// This life is over: nothing is held, and nothing begins before it is registered anew.
    pub fn leave(&self) {
        self.renewed.set(None);
        self.look_at(&self.holdings.runs());
        self.holdings.leave();
        self.slots.drain_buffers();
    }

    /// These runs are no longer held here: who waits for one of them looks at its row, which may be gone.
    pub fn look_at(&self, lost: &[(RunId, Epoch)]) {
        for (run, _) in lost {
            self.hub.look(*run);
        }
    }

    /// The lease was renewed by a call that was asked at this moment: the database may have counted from
    /// then on, however late its answer came.
    pub fn renewed(&self, asked: Moment) {
        self.renewed.set(Some(asked));
        if self.doubted.swap(false, Ordering::SeqCst) {
            // Whatever was kept from beginning looks again.
            for pass in self.holdings.all_passes() {
                pass.trusted_again();
            }
            self.work.notify_one();
        }
    }

    /// Time since the lease was renewed.
    pub fn since_renewal(&self) -> Duration {
        let renewed = self.renewed.get();
        renewed.map_or(Duration::MAX, |moment| moment.elapsed())
    }

    /// For how long the worker may still begin something unless its lease is renewed; `None` when
    /// it may not any more.
    pub fn trust_left(&self) -> Option<Duration> {
        let window = self.config.lease * 2 / 3;
        let left = window.checked_sub(self.since_renewal())?;
        (left > Duration::ZERO).then_some(left)
    }

    /// Whether the worker may begin something: past two thirds of its lease it may not, since somebody else may
    /// soon declare it dead. Who is kept from beginning is told once the lease is renewed, if it holds a pass.
    pub fn is_trusted(&self) -> bool {
        let is_fresh = || self.trust_left().is_some();
        if !self.config.worker || is_fresh() {
            return true;
        }
        self.doubted.store(true, Ordering::SeqCst);
        // Renewed in between, perhaps, by somebody who did not see the doubt.
        is_fresh()
    }
}
