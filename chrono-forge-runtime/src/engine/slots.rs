//! Bounded concurrency per queue, and the runs that were claimed ahead of a free slot.
//!
//! A slot is held while a body executes, not while its last write waits for its commit. Claims run
//! ahead of free slots by what the queue finished lately, so that claims and commits come in
//! batches; a queue of slow runs claims nothing ahead, since another worker could take them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::ClaimedRun;
use crate::store::Room;

/// The window over which "lately" is measured.
const WINDOW: Duration = Duration::from_millis(100);

/// Beside so many healthy runs one is claimed that tries again what failed.
const HEALTHY_PER_RETURNING: usize = 32;

/// The most runs of one queue that are claimed ahead of its slots.
const AHEAD_MAX: usize = 4_000;

/// Every queue that this worker serves.
#[derive(Debug)]
pub struct Slots {
    queues: Mutex<HashMap<String, Queue>>,
}

#[derive(Debug)]
struct Queue {
    limit: usize,
    running: usize,
    reserved: usize,
    buffer: VecDeque<ClaimedRun>,
    /// The last claim came back full, so more is due.
    backlog: bool,
    /// The same of runs that return, while healthy ones leave slots free.
    more_return: bool,
    window_start: Instant,
    finished_now: usize,
    finished_before: usize,
    /// Of those, runs that do not try again what failed.
    healthy_now: usize,
    healthy_before: usize,
    /// Claimed in this window to try again.
    returned_now: usize,
    /// Nothing is claimed ahead before this instant.
    cautious_until: Option<Instant>,
}

impl Queue {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            running: 0,
            reserved: 0,
            buffer: VecDeque::new(),
            backlog: false,
            more_return: false,
            window_start: Instant::now(),
            finished_now: 0,
            finished_before: 0,
            healthy_now: 0,
            healthy_before: 0,
            returned_now: 0,
            cautious_until: None,
        }
    }

    fn roll(&mut self) {
        let elapsed = self.window_start.elapsed();
        if elapsed < WINDOW {
            return;
        }
        let recent = elapsed < 2 * WINDOW;
        self.finished_before = if recent { self.finished_now } else { 0 };
        self.healthy_before = if recent { self.healthy_now } else { 0 };
        self.finished_now = 0;
        self.healthy_now = 0;
        self.returned_now = 0;
        self.window_start = Instant::now();
    }

    fn ahead(&mut self) -> usize {
        self.roll();
        if self
            .cautious_until
            .is_some_and(|until| Instant::now() < until)
        {
            return 0;
        }
        self.finished_before.max(self.finished_now).min(AHEAD_MAX)
    }

    /// Whether there is enough room for a claim to be worth a transaction.
    fn is_hungry(&mut self) -> bool {
        let room = self.room();
        room > 0 && (room * 4 >= self.limit + self.ahead() || self.buffer.is_empty())
    }

    /// Healthy runs that finished lately.
    fn healthy_lately(&mut self) -> usize {
        self.roll();
        self.healthy_before.max(self.healthy_now)
    }

    /// Whether healthy runs finish so fast that a slot which is free just now is none to spare.
    fn is_busy(&mut self) -> bool {
        self.healthy_lately() >= self.limit
    }

    fn room_to_return(&mut self) -> usize {
        let left = match self.is_busy() {
            false => self.limit.saturating_sub(self.taken()),
            true => 0,
        };
        let share = (self.healthy_lately() / HEALTHY_PER_RETURNING).max(1);
        left.max(share.saturating_sub(self.returned_now))
    }

    fn room(&mut self) -> usize {
        (self.limit + self.ahead()).saturating_sub(self.taken())
    }

    /// Slots in use, promised, or waited for.
    fn taken(&self) -> usize {
        self.running + self.reserved + self.buffer.len()
    }
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
    /// worth a transaction are left out.
    ///
    /// Runs that return take the slots of their queue that healthy ones leave; where these finish as
    /// many as there are slots in each window, they leave none, and one in thirty-two returns beside
    /// them. So ten thousand runs that failed together neither delay the others nor starve.
    pub fn wanted(&self) -> Vec<Room> {
        let mut queues = self.lock();
        queues
            .iter_mut()
            .filter_map(|(name, queue)| {
                // A queue that is not asked for may miss what has just become due.
                queue.backlog |= !queue.is_hungry();
                let count = |room: usize| u32::try_from(room).unwrap_or(u32::MAX);
                let room = queue.room();
                queue.is_hungry().then(|| Room {
                    queue: name.clone(),
                    healthy: count(room),
                    returning: count(room.min(queue.room_to_return())),
                })
            })
            .collect()
    }

    /// Notes whether a queue's last claim left due runs behind: healthy ones, and ones that return.
    /// In a busy queue the latter are looked for at every wake-up and tick of the scheduler; each body
    /// that ends need not ask.
    pub fn set_backlog(&self, queue: &str, backlog: bool, more_return: bool) {
        if let Some(queue) = self.lock().get_mut(queue) {
            queue.backlog = backlog;
            queue.more_return = more_return && !queue.is_busy();
        }
    }

    /// Notes that so many runs were claimed to try again what failed.
    pub fn returned(&self, queue: &str, count: usize) {
        if let Some(queue) = self.lock().get_mut(queue) {
            queue.roll();
            queue.returned_now += count;
        }
    }

    /// Reserves room for up to `wanted` runs that will be inserted already claimed. With a known
    /// backlog a quarter of the room is left to runs that wait in the database.
    pub fn reserve(&self, queue: &str, wanted: usize) -> usize {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(queue) else {
            return 0;
        };
        let room = if queue.backlog {
            queue.room() / 4 * 3
        } else {
            queue.room()
        };
        let granted = room.min(wanted);
        queue.reserved += granted;
        granted
    }

    /// Reserves one free slot for a direct start, if nothing is known to wait.
    pub fn reserve_direct(&self, queue: &str) -> bool {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(queue) else {
            return false;
        };
        let free = queue.taken() < queue.limit;
        if free && !queue.backlog {
            queue.reserved += 1;
        }
        free && !queue.backlog
    }

    /// Gives reserved room back: its runs were inserted, or were not.
    pub fn unreserve(&self, queue: &str, count: usize) {
        if let Some(queue) = self.lock().get_mut(queue) {
            queue.reserved = queue.reserved.saturating_sub(count);
        }
    }

    /// Adds a claimed run; `true` when a slot is free and the caller must start a task for it.
    pub fn offer(&self, run: ClaimedRun) -> bool {
        let mut queues = self.lock();
        // A queue that this worker does not serve claims nothing, so the entry exists.
        let Some(queue) = queues.get_mut(&run.queue) else {
            return false;
        };
        queue.buffer.push_back(run);
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
        let run = queue.buffer.pop_front();
        if run.is_none() {
            queue.running -= 1;
        }
        run
    }

    /// A body ended, of a run that tried again what failed or of a healthy one.
    pub fn finished(&self, queue: &str, returned: bool) {
        if let Some(queue) = self.lock().get_mut(queue) {
            queue.roll();
            queue.finished_now += 1;
            queue.healthy_now += usize::from(!returned);
        }
    }

    /// Whether runs of this queue are known to be due and there is room for a claim that is worth a
    /// transaction.
    pub fn has_more_due(&self, queue: &str) -> bool {
        self.lock()
            .get_mut(queue)
            .is_some_and(|queue| (queue.backlog || queue.more_return) && queue.is_hungry())
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
            .flat_map(|queue| std::mem::take(&mut queue.buffer))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Slots {
        let slots = Slots::new(&[("q".to_owned(), 4)]);
        for _ in 0..100 {
            slots.finished("q", false);
        }
        slots
    }

    #[test]
    fn claims_run_ahead_by_what_was_finished_lately() {
        let idle = Slots::new(&[("q".to_owned(), 4)]);
        assert_eq!(idle.wanted(), [room(4, 4)]);
        assert_eq!(busy().wanted(), [room(104, 3)]);
    }

    #[test]
    fn who_returns_takes_the_slots_of_its_queue_that_are_free() {
        let slots = Slots::new(&[("q".to_owned(), 64)]);
        assert_eq!(slots.wanted(), [room(64, 64)]);
        for _ in 0..3 {
            assert!(slots.reserve_direct("q"));
        }
        assert_eq!(slots.wanted(), [room(61, 61)]);
        assert_eq!(slots.reserve("q", 50), 50);
        slots.returned("q", 2);
        assert_eq!(slots.wanted(), [room(11, 11)]);
    }

    #[test]
    fn a_full_queue_takes_no_slot_from_those_that_return_to_another() {
        let slots = Slots::new(&[("full".to_owned(), 64), ("q".to_owned(), 8)]);
        assert_eq!(slots.reserve("full", 64), 64);
        assert_eq!(slots.wanted(), [room(8, 8)]);
    }

    #[test]
    fn a_body_that_ends_asks_for_those_that_return_unless_the_queue_is_busy() {
        let slots = Slots::new(&[("q".to_owned(), 4)]);
        slots.set_backlog("q", false, true);
        assert!(slots.has_more_due("q"));
        let busy = busy();
        busy.set_backlog("q", false, true);
        assert!(!busy.has_more_due("q"));
    }

    #[test]
    fn beside_thirty_two_healthy_runs_one_returns() {
        let slots = Slots::new(&[("q".to_owned(), 64)]);
        (0..160).for_each(|_| slots.finished("q", false));
        assert_eq!(slots.wanted(), [room(224, 5)]);
        slots.returned("q", 3);
        assert_eq!(slots.wanted(), [room(224, 2)]);
        slots.returned("q", 2);
        assert_eq!(slots.wanted(), [room(224, 0)]);
    }

    fn room(healthy: u32, returning: u32) -> Room {
        Room {
            queue: "q".to_owned(),
            healthy,
            returning,
        }
    }

    #[test]
    fn after_a_death_no_more_is_held_than_executes() {
        let slots = busy();
        slots.be_cautious(Duration::from_secs(60));
        assert_eq!(slots.wanted(), [room(4, 3)]);
        assert_eq!(slots.reserve("q", 1_000), 4);
    }

    #[test]
    fn a_direct_start_takes_a_free_slot_unless_others_wait() {
        let slots = Slots::new(&[("q".to_owned(), 1)]);
        assert!(slots.reserve_direct("q"));
        assert!(!slots.reserve_direct("q"), "the slot is taken");
        slots.unreserve("q", 1);
        slots.set_backlog("q", false, true);
        assert!(slots.reserve_direct("q"), "only runs that return wait");
        slots.unreserve("q", 1);
        slots.set_backlog("q", true, false);
        assert!(!slots.reserve_direct("q"), "others wait in the database");
        assert!(
            !slots.reserve_direct("elsewhere"),
            "a queue that is not served"
        );
    }
}
