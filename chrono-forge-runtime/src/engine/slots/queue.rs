//! One queue: what is taken of its slots, and what may be claimed beyond them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::buffer::Buffer;
use crate::record::ClaimedRun;
use crate::store::Room;

/// The window over which "lately" is measured.
const WINDOW: Duration = Duration::from_millis(100);

/// Beside so many healthy runs one is claimed that tries again what failed.
const HEALTHY_PER_RETURNING: usize = 32;

/// The most runs of one queue that are claimed ahead of its slots.
const AHEAD_MAX: usize = 4_000;

/// What waits for a slot weighs no more than this and what one claim brings.
const AHEAD_BYTES_MAX: usize = 32 << 20;

/// Room is kept for no longer; whose commit takes longer has its runs inserted all the same, beyond it.
const RESERVED_MAX: Duration = Duration::from_secs(1);

/// A run that waits for a slot for longer, while all are busy, is left to others.
const AHEAD_MAX_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) limit: usize,
    /// Tasks that execute runs one after the other.
    running: usize,
    /// Those that were started and have not taken their first run yet: it is still in the buffer.
    starting: usize,
    /// Those that execute one just now. Others wait between two runs until commits catch up.
    pub(super) executing: usize,
    /// By number, and so by age.
    reservations: BTreeMap<u64, Reserved>,
    reserved: usize,
    /// Of these, for runs of urgent levels.
    reserved_urgent: usize,
    /// What was claimed ahead had to be handed back; none is before a slot is free.
    was_too_far_ahead: bool,
    pub(super) buffer: Buffer,
    /// The last claim came back full, so more is due.
    backlog: bool,
    /// The same of runs of urgent levels.
    urgent_backlog: bool,
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
    pub(super) cautious_until: Option<Instant>,
}

#[derive(Debug)]
struct Reserved {
    count: usize,
    urgent: usize,
    until: Instant,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            running: 0,
            starting: 0,
            executing: 0,
            reservations: BTreeMap::new(),
            reserved: 0,
            reserved_urgent: 0,
            was_too_far_ahead: false,
            buffer: Buffer::default(),
            backlog: false,
            urgent_backlog: false,
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

    /// Keeps room for so many runs, `urgent` of them of urgent levels.
    pub(super) fn keep(&mut self, number: u64, count: usize, urgent: usize, now: Instant) {
        let reserved = Reserved {
            count,
            urgent,
            until: now + RESERVED_MAX,
        };
        self.reservations.insert(number, reserved);
        self.reserved += count;
        self.reserved_urgent += urgent;
    }

    /// Gives room back, once: it may have come back by itself.
    pub(super) fn give_back(&mut self, number: u64) {
        if let Some(reserved) = self.reservations.remove(&number) {
            self.reserved -= reserved.count;
            self.reserved_urgent -= reserved.urgent;
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((number, first)) = self.reservations.first_key_value() {
            if first.until > now {
                return;
            }
            let number = *number;
            self.give_back(number);
        }
    }

    /// Whether a slot is free; the caller starts a task for it.
    pub(super) fn starts_another(&mut self) -> bool {
        let starts = self.running < self.limit;
        if starts {
            self.running += 1;
            self.starting += 1;
        }
        starts
    }

    /// The first run of a task.
    pub(super) fn take_first(&mut self) -> Option<ClaimedRun> {
        self.starting -= 1;
        self.take()
    }

    /// The next run of a task, which ends if there is none.
    pub(super) fn take(&mut self) -> Option<ClaimedRun> {
        let run = self.buffer.pop();
        if run.is_some() {
            self.executing += 1;
        } else {
            self.running -= 1;
            self.was_too_far_ahead = false;
        }
        run
    }

    /// Tasks that execute runs one after the other.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Whether nothing executes, waits for a slot, or is on its way to one.
    pub(super) fn is_free(&self) -> bool {
        self.executing == 0 && self.buffer.is_empty() && self.reservations.is_empty()
    }

    fn is_full(&self) -> bool {
        self.executing >= self.limit
    }

    /// What was claimed ahead and waits for too long.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Vec<ClaimedRun> {
        let Some(since) = now.checked_sub(AHEAD_MAX_WAIT).filter(|_| self.is_full()) else {
            return Vec::new();
        };
        let overdue = self.buffer.take_older(since);
        if !overdue.is_empty() {
            self.was_too_far_ahead = true;
            self.backlog = true;
        }
        overdue
    }

    /// When room comes back, or something is to be handed back, without anybody telling.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let first = self.reservations.first_key_value();
        let oldest = self.buffer.oldest().filter(|_| self.is_full());
        let overdue = oldest.map(|since| since + AHEAD_MAX_WAIT);
        first
            .map(|(_, it)| it.until)
            .into_iter()
            .chain(overdue)
            .min()
    }

    fn roll(&mut self, now: Instant) {
        self.expire(now);
        let elapsed = now.saturating_duration_since(self.window_start);
        if elapsed < WINDOW {
            return;
        }
        let recent = elapsed < 2 * WINDOW;
        self.finished_before = if recent { self.finished_now } else { 0 };
        self.healthy_before = if recent { self.healthy_now } else { 0 };
        self.finished_now = 0;
        self.healthy_now = 0;
        self.returned_now = 0;
        self.window_start = now;
    }

    /// A body ended, of a run that tried again what failed or of a healthy one.
    pub(super) fn finished(&mut self, returned: bool, now: Instant) {
        self.roll(now);
        self.executing = self.executing.saturating_sub(1);
        self.finished_now += 1;
        self.healthy_now += usize::from(!returned);
    }

    fn ahead(&mut self, now: Instant) -> usize {
        self.roll(now);
        let is_cautious = |until| now < until;
        if self.was_too_far_ahead
            || self.buffer.bytes() >= AHEAD_BYTES_MAX
            || self.cautious_until.is_some_and(is_cautious)
        {
            return 0;
        }
        self.finished_before.max(self.finished_now).min(AHEAD_MAX)
    }

    /// Whether there is enough room for a claim to be worth a transaction.
    fn is_hungry(&mut self, now: Instant) -> bool {
        let room = self.room(now);
        room > 0 && (room * 4 >= self.limit + self.ahead(now) || self.buffer.is_empty())
    }

    /// Healthy runs that finished lately.
    fn healthy_lately(&mut self, now: Instant) -> usize {
        self.roll(now);
        self.healthy_before.max(self.healthy_now)
    }

    /// Whether healthy runs finish so fast that a slot which is free just now is none to spare.
    fn is_busy(&mut self, now: Instant) -> bool {
        self.healthy_lately(now) >= self.limit
    }

    fn room_to_return(&mut self, now: Instant) -> usize {
        let left = match self.is_busy(now) {
            false => self.limit.saturating_sub(self.taken()),
            true => 0,
        };
        let share = (self.healthy_lately(now) / HEALTHY_PER_RETURNING).max(1);
        left.max(share.saturating_sub(self.returned_now))
    }

    fn room(&mut self, now: Instant) -> usize {
        (self.limit + self.ahead(now)).saturating_sub(self.taken())
    }

    /// Room for runs of urgent levels beside whatever else was claimed ahead: they pass it by. As many
    /// as there are slots may wait, where slots become free all the time.
    fn urgent_room(&mut self, now: Instant) -> usize {
        let most = self.limit.min(self.ahead(now));
        most.saturating_sub(self.reserved_urgent + self.buffer.urgent())
    }

    /// Slots in use, promised, or waited for. A slot between two runs is in use: it takes its next
    /// run from the buffer, and if it counted as free, each run would be claimed by a transaction
    /// of its own.
    fn taken(&self) -> usize {
        self.running - self.starting + self.reserved + self.buffer.len()
    }

    /// What to claim from the database now, if that is worth a transaction.
    pub(super) fn wanted(&mut self, name: &str, now: Instant) -> Option<Room> {
        let count = |room: usize| u32::try_from(room).unwrap_or(u32::MAX);
        let of = |healthy, returning, urgent_only| Room {
            queue: name.to_owned(),
            healthy: count(healthy),
            returning: count(returning),
            urgent_only,
        };
        if self.is_hungry(now) {
            let room = self.room(now);
            return Some(of(room, room.min(self.room_to_return(now)), false));
        }
        // A queue that is not asked for may miss what has just become due.
        self.backlog = true;
        let room = self.urgent_room(now);
        (room > 0).then(|| of(room, 0, true))
    }

    /// Notes what a claim took. Where it came back full it left due runs behind.
    pub(super) fn claimed(
        &mut self,
        room: &Room,
        runs: &[&ClaimedRun],
        lowest_first: bool,
        now: Instant,
    ) {
        let returning = runs.iter().filter(|run| run.level.is_returning()).count();
        let healthy = runs.len() - returning;
        let full = healthy >= room.healthy as usize;
        let all_urgent = runs
            .iter()
            .all(|run| run.level.is_urgent() || run.level.is_returning());
        // A full claim that went from the least urgent level up tells nothing of the most urgent one.
        if !(full && lowest_first && !all_urgent) {
            self.urgent_backlog = full && all_urgent;
        }
        self.roll(now);
        self.returned_now += returning;
        if room.urgent_only {
            return;
        }
        self.backlog = full;
        // In a busy queue runs that return are looked for at every wake-up and tick of the scheduler;
        // each body that ends need not ask.
        self.more_return = returning >= room.returning as usize && !self.is_busy(now);
    }

    /// Whether runs are known to be due and a claim is worth a transaction.
    pub(super) fn has_more_due(&mut self, now: Instant) -> bool {
        (self.backlog || self.more_return) && self.is_hungry(now)
            || self.urgent_backlog && self.urgent_room(now) * 4 >= self.limit
    }

    /// Room for some of so many runs that will be inserted already claimed, `urgent` of them first.
    /// With a known backlog a quarter of the room is left to runs that wait in the database.
    pub(super) fn grant(&mut self, wanted: usize, urgent: usize, now: Instant) -> usize {
        let room = match self.backlog {
            true => self.room(now) / 4 * 3,
            false => self.room(now),
        };
        room.max(self.urgent_room(now).min(urgent)).min(wanted)
    }

    /// Whether a run that is started may be inserted already claimed: nothing that should go before
    /// it is known to wait.
    pub(super) fn has_direct_room(&mut self, urgent: bool, now: Instant) -> bool {
        self.expire(now);
        let free = self.taken() < self.limit && !self.backlog;
        free || urgent && !self.urgent_backlog && self.urgent_room(now) > 0
    }
}
