//! One queue: what is taken of its slots, and what may be claimed beyond them.

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

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) limit: usize,
    pub(super) running: usize,
    pub(super) reserved: usize,
    /// Of these, for runs of urgent levels.
    pub(super) reserved_urgent: usize,
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

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            running: 0,
            reserved: 0,
            reserved_urgent: 0,
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

    /// A body ended, of a run that tried again what failed or of a healthy one.
    pub(super) fn finished(&mut self, returned: bool) {
        self.roll();
        self.finished_now += 1;
        self.healthy_now += usize::from(!returned);
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

    /// Room for runs of urgent levels beside whatever else was claimed ahead: they pass it by. As many
    /// as there are slots may wait, where slots become free all the time.
    fn urgent_room(&mut self) -> usize {
        let most = self.limit.min(self.ahead());
        most.saturating_sub(self.reserved_urgent + self.buffer.urgent())
    }

    /// Slots in use, promised, or waited for.
    fn taken(&self) -> usize {
        self.running + self.reserved + self.buffer.len()
    }

    /// What to claim from the database now, if that is worth a transaction.
    pub(super) fn wanted(&mut self, name: &str) -> Option<Room> {
        let count = |room: usize| u32::try_from(room).unwrap_or(u32::MAX);
        let of = |healthy, returning, urgent_only| Room {
            queue: name.to_owned(),
            healthy: count(healthy),
            returning: count(returning),
            urgent_only,
        };
        if self.is_hungry() {
            let room = self.room();
            return Some(of(room, room.min(self.room_to_return()), false));
        }
        // A queue that is not asked for may miss what has just become due.
        self.backlog = true;
        let room = self.urgent_room();
        (room > 0).then(|| of(room, 0, true))
    }

    /// Notes what a claim took. Where it came back full it left due runs behind.
    pub(super) fn claimed(&mut self, room: &Room, runs: &[&ClaimedRun], lowest_first: bool) {
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
        self.roll();
        self.returned_now += returning;
        if room.urgent_only {
            return;
        }
        self.backlog = full;
        // In a busy queue runs that return are looked for at every wake-up and tick of the scheduler;
        // each body that ends need not ask.
        self.more_return = returning >= room.returning as usize && !self.is_busy();
    }

    /// Whether runs are known to be due and a claim is worth a transaction.
    pub(super) fn has_more_due(&mut self) -> bool {
        (self.backlog || self.more_return) && self.is_hungry()
            || self.urgent_backlog && self.urgent_room() * 4 >= self.limit
    }

    /// Room for some of so many runs that will be inserted already claimed, `urgent` of them first.
    /// With a known backlog a quarter of the room is left to runs that wait in the database.
    pub(super) fn grant(&mut self, wanted: usize, urgent: usize) -> usize {
        let room = match self.backlog {
            true => self.room() / 4 * 3,
            false => self.room(),
        };
        room.max(self.urgent_room().min(urgent)).min(wanted)
    }

    /// Whether a run that is started may be inserted already claimed: nothing that should go before
    /// it is known to wait.
    pub(super) fn has_direct_room(&mut self, urgent: bool) -> bool {
        let free = self.taken() < self.limit && !self.backlog;
        free || urgent && !self.urgent_backlog && self.urgent_room() > 0
    }
}
