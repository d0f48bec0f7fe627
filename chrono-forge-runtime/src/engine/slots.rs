//! Bounded concurrency per queue, and the runs that were claimed ahead of a free slot.
//!
//! A slot is held while a body executes, not while its last write waits for its commit. Claims run
//! ahead of free slots by what the queue finished lately, so that claims and commits come in
//! batches; a queue of slow runs claims nothing ahead, since another worker could take them. Who is
//! urgent (a top-level run, one of a branch's first children) goes past the others that were claimed
//! ahead, and has room beside them: so a fan-out of a million delays no one else's small work.

mod buffer;
mod queue;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use crate::record::{ClaimedRun, Level};
use crate::store::Room;
use queue::Queue;

/// Every queue that this worker serves.
#[derive(Debug)]
pub struct Slots {
    queues: Mutex<FxHashMap<String, Queue>>,
    /// Reservations so far.
    reservations: AtomicU64,
}

/// Room that is kept for runs which will be inserted already claimed.
#[derive(Debug)]
#[must_use = "room that is not given back is lost for a second"]
pub struct Reservation {
    number: u64,
    pub queue: String,
    /// For so many runs.
    pub count: usize,
}

/// Nobody executes more than this at the same time, whatever number stands for "no limit"; sums of slots and of what
/// is claimed ahead of them stay far from overflowing.
const SLOTS_MAX: usize = 1_000_000;

impl Slots {
    /// Queues with their number of slots.
    #[must_use]
    pub fn new(queues: &[(String, usize)]) -> Self {
        let queues = queues
            .iter()
            .map(|(name, limit)| (name.clone(), Queue::new((*limit).min(SLOTS_MAX))))
            .collect();
        Self {
            queues: Mutex::new(queues),
            reservations: AtomicU64::new(0),
        }
    }

    /// How many runs each queue could claim now; queues with too little room for a claim to be
    /// worth a transaction are asked for urgent runs, or left out.
    ///
    /// Runs that return take the slots of their queue that healthy ones leave; where these finish as
    /// many as there are slots in each window, they leave none, and one in thirty-two returns beside
    /// them. So ten thousand runs that failed together neither delay the others nor starve.
    pub fn wanted(&self) -> Vec<Room> {
        let now = Instant::now();
        let mut queues = self.lock();
        queues
            .iter_mut()
            .filter_map(|(name, queue)| queue.wanted(name, now))
            .collect()
    }

    /// Notes what a claim took from a queue.
    pub fn claimed(&self, room: &Room, runs: &[&ClaimedRun], lowest_first: bool) {
        if let Some(queue) = self.lock().get_mut(&room.queue) {
            queue.claimed(room, runs, lowest_first, Instant::now());
        }
    }

    /// Reserves room for up to `wanted` runs that will be inserted already claimed, the `urgent` ones
    /// among them first.
    pub fn reserve(&self, queue: &str, wanted: usize, urgent: usize) -> Reservation {
        let now = Instant::now();
        let mut queues = self.lock();
        let count = queues
            .get_mut(queue)
            .map_or(0, |queue| queue.grant(wanted, urgent, now));
        self.promise(&mut queues, queue, count, urgent.min(count), now)
    }

    /// Reserves room for a direct start, unless others that wait should go before it.
    pub fn reserve_direct(&self, queue: &str, level: Level) -> Option<Reservation> {
        let now = Instant::now();
        let mut queues = self.lock();
        let urgent = level.is_urgent();
        if !queues.get_mut(queue)?.has_direct_room(urgent, now) {
            return None;
        }
        Some(self.promise(&mut queues, queue, 1, usize::from(urgent), now))
    }

    fn promise(
        &self,
        queues: &mut FxHashMap<String, Queue>,
        queue: &str,
        count: usize,
        urgent: usize,
        now: Instant,
    ) -> Reservation {
        let number = self.reservations.fetch_add(1, Ordering::Relaxed);
        if let Some(queue) = queues.get_mut(queue).filter(|_| count > 0) {
            queue.keep(number, count, urgent, now);
        }
        Reservation {
            number,
            queue: queue.to_owned(),
            count,
        }
    }

    /// Gives reserved room back: its runs were inserted, or were not. After a second it has come back by itself, so
    /// that a commit which takes longer keeps nobody waiting; its runs find their slots nevertheless.
    pub fn unreserve(&self, reservation: &Reservation) {
        if let Some(queue) = self.lock().get_mut(&reservation.queue) {
            queue.give_back(reservation.number);
        }
    }

    /// Adds claimed runs. Answers a queue's name for each slot that was free: the caller starts a
    /// task for each.
    pub fn offer(&self, runs: Vec<ClaimedRun>, now: Instant) -> Vec<String> {
        let mut starts = Vec::new();
        let mut queues = self.lock();
        for run in runs {
            // A queue that this worker does not serve claims nothing, so the entry exists.
            if let Some(queue) = queues.get_mut(&*run.queue) {
                let starting = queue.starts_another().then(|| run.queue.to_string());
                starts.extend(starting);
                queue.buffer.push(run, now);
            }
        }
        starts
    }

    /// The first run for a slot's task, or `None` when the slot becomes free again.
    pub fn take_first(&self, queue: &str) -> Option<ClaimedRun> {
        self.lock().get_mut(queue)?.take_first()
    }

    /// The next run for a slot's task, or `None` when the slot becomes free.
    pub fn take(&self, queue: &str) -> Option<ClaimedRun> {
        self.lock().get_mut(queue)?.take()
    }

    /// A run that was taken does not begin after all.
    pub fn unbegun(&self, queue: &str) {
        if let Some(queue) = self.lock().get_mut(queue) {
            queue.executing = queue.executing.saturating_sub(1);
        }
    }

    /// What was claimed ahead, and waits for a slot for more than a second while all of them are busy: another worker
    /// may have one that is free. Nothing is claimed ahead again before a slot here is.
    pub fn take_overdue(&self, now: Instant) -> Vec<ClaimedRun> {
        let mut queues = self.lock();
        let overdue = queues.values_mut().map(|queue| queue.take_overdue(now));
        overdue.flatten().collect()
    }

    /// Whether nothing executes, waits for a slot, or is on its way to one.
    pub fn are_free(&self) -> bool {
        self.lock().values().all(Queue::is_free)
    }

    /// When there is something to look at here without anybody telling.
    pub fn next_change(&self) -> Option<Instant> {
        self.lock().values().filter_map(Queue::next_change).min()
    }

    /// Whether an urgent run waits for a slot.
    pub fn has_urgent(&self, queue: &str) -> bool {
        let queues = self.lock();
        queues
            .get(queue)
            .is_some_and(|queue| queue.buffer.urgent() > 0)
    }

    /// A body ended, of a run that tried again what failed or of a healthy one. Answers
    /// [`has_more_due`](Self::has_more_due).
    pub fn finished(&self, queue: &str, returned: bool) -> bool {
        let now = Instant::now();
        let mut queues = self.lock();
        queues.get_mut(queue).is_some_and(|queue| {
            queue.finished(returned, now);
            queue.has_more_due(now)
        })
    }

    /// Whether runs of this queue are known to be due and there is room for a claim that is worth a
    /// transaction.
    pub fn has_more_due(&self, queue: &str) -> bool {
        let now = Instant::now();
        let mut queues = self.lock();
        let queue = queues.get_mut(queue);
        queue.is_some_and(|queue| queue.has_more_due(now))
    }

    /// Claims nothing ahead for so long. A worker has died: if some run kills its workers, each death
    /// makes suspects of all that were held, so hold no more than what executes.
    pub fn be_cautious(&self, span: Duration) {
        let until = Instant::now() + span;
        for queue in self.lock().values_mut() {
            queue.cautious_until = Some(until);
        }
    }

    /// Takes back everything that no slot has begun.
    pub fn drain_buffers(&self) -> Vec<ClaimedRun> {
        self.lock()
            .values_mut()
            .flat_map(|queue| queue.buffer.drain())
            .collect()
    }

    /// Bodies that are executing.
    pub fn running(&self) -> usize {
        self.lock().values().map(Queue::running).sum()
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<String, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
