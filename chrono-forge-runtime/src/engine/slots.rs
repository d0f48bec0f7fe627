//! Bounded concurrency per queue, and the runs that were claimed ahead of a free slot.
//!
//! A slot is held while a body executes, not while its last write waits for its commit. Claims run
//! ahead of free slots by what the queue finished lately, so that claims and commits come in
//! batches; a queue of slow runs claims nothing ahead, since another worker could take them. Who is
//! urgent (a top-level run, one of a branch's first children) goes past the others that were claimed
//! ahead, and has room beside them: so a fan-out of a million delays no one else's small work.

mod buffer;
mod queue;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::{ClaimedRun, Level};
use crate::store::Room;
use queue::Queue;

/// Every queue that this worker serves.
#[derive(Debug)]
pub struct Slots {
    queues: Mutex<HashMap<String, Queue>>,
}

/// Room that is kept for runs which will be inserted already claimed.
#[derive(Debug)]
#[must_use = "room that is not given back is lost"]
pub struct Reservation {
    queue: String,
    /// For so many runs.
    pub count: usize,
    urgent: usize,
}

impl Slots {
    /// Queues with their number of slots.
    #[must_use]
    pub fn new(queues: &[(String, usize)]) -> Self {
        let queues = queues
            .iter()
            .map(|(name, limit)| (name.clone(), Queue::new(*limit)))
            .collect();
        Self {
            queues: Mutex::new(queues),
        }
    }

    /// How many runs each queue could claim now; queues with too little room for a claim to be
    /// worth a transaction are asked for urgent runs, or left out.
    ///
    /// Runs that return take the slots of their queue that healthy ones leave; where these finish as
    /// many as there are slots in each window, they leave none, and one in thirty-two returns beside
    /// them. So ten thousand runs that failed together neither delay the others nor starve.
    pub fn wanted(&self) -> Vec<Room> {
        let mut queues = self.lock();
        queues
            .iter_mut()
            .filter_map(|(name, queue)| queue.wanted(name))
            .collect()
    }

    /// Notes what a claim took from a queue.
    pub fn claimed(&self, room: &Room, runs: &[&ClaimedRun], lowest_first: bool) {
        if let Some(queue) = self.lock().get_mut(&room.queue) {
            queue.claimed(room, runs, lowest_first);
        }
    }

    /// Reserves room for up to `wanted` runs that will be inserted already claimed, the `urgent` ones
    /// among them first.
    pub fn reserve(&self, queue: &str, wanted: usize, urgent: usize) -> Reservation {
        let mut queues = self.lock();
        let count = queues
            .get_mut(queue)
            .map_or(0, |queue| queue.grant(wanted, urgent));
        promise(&mut queues, queue, count, urgent.min(count))
    }

    /// Reserves room for a direct start, unless others that wait should go before it.
    pub fn reserve_direct(&self, queue: &str, level: Level) -> Option<Reservation> {
        let mut queues = self.lock();
        let urgent = level.is_urgent();
        if !queues.get_mut(queue)?.has_direct_room(urgent) {
            return None;
        }
        Some(promise(&mut queues, queue, 1, usize::from(urgent)))
    }

    /// Gives reserved room back: its runs were inserted, or were not.
    pub fn unreserve(&self, reservation: &Reservation) {
        if let Some(queue) = self.lock().get_mut(&reservation.queue) {
            queue.reserved = queue.reserved.saturating_sub(reservation.count);
            queue.reserved_urgent = queue.reserved_urgent.saturating_sub(reservation.urgent);
        }
    }

    /// Adds a claimed run; `true` when a slot is free and the caller must start a task for it.
    pub fn offer(&self, run: ClaimedRun) -> bool {
        let mut queues = self.lock();
        // A queue that this worker does not serve claims nothing, so the entry exists.
        let Some(queue) = queues.get_mut(&run.queue) else {
            return false;
        };
        queue.buffer.push(run);
        let starts = queue.running < queue.limit;
        if starts {
            queue.running += 1;
        }
        starts
    }

    /// The next run for a slot's task, or `None` when the slot becomes free.
    pub fn take(&self, queue: &str) -> Option<ClaimedRun> {
        let mut queues = self.lock();
        let queue = queues.get_mut(queue)?;
        let run = queue.buffer.pop();
        if run.is_none() {
            queue.running -= 1;
        }
        run
    }

    /// A slot's task ended before its time; `true` when runs wait and the caller must start another one.
    pub fn give_back(&self, queue: &str) -> bool {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(queue) else {
            return false;
        };
        if !queue.buffer.is_empty() {
            return true;
        }
        queue.running = queue.running.saturating_sub(1);
        false
    }

    /// Whether an urgent run waits for a slot.
    pub fn has_urgent(&self, queue: &str) -> bool {
        let queues = self.lock();
        queues
            .get(queue)
            .is_some_and(|queue| queue.buffer.urgent() > 0)
    }

    /// A body ended, of a run that tried again what failed or of a healthy one.
    pub fn finished(&self, queue: &str, returned: bool) {
        if let Some(queue) = self.lock().get_mut(queue) {
            queue.finished(returned);
        }
    }

    /// Whether runs of this queue are known to be due and there is room for a claim that is worth a
    /// transaction.
    pub fn has_more_due(&self, queue: &str) -> bool {
        self.lock().get_mut(queue).is_some_and(Queue::has_more_due)
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
        self.lock().values().map(|queue| queue.running).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn promise(
    queues: &mut HashMap<String, Queue>,
    queue: &str,
    count: usize,
    urgent: usize,
) -> Reservation {
    if let Some(queue) = queues.get_mut(queue) {
        queue.reserved += count;
        queue.reserved_urgent += urgent;
    }
    Reservation {
        queue: queue.to_owned(),
        count,
        urgent,
    }
}

#[cfg(test)]
mod tests;
