//! What goes wrong, at random.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono_forge_tests::process::{HANGS, Victim};
#[cfg(feature = "postgres")]
use chrono_forge_tests::server::Stop;

use crate::ground::{Ground, LEASE};

/// Worker processes.
const WORKERS: usize = 3;

/// How far ahead the clocks are in the end: everything that waits for an instant is due.
const FAR_AHEAD_MS: i64 = 3 * 3_600_000;

pub(crate) struct Trouble<'a> {
    ground: &'a Ground,
    random: u64,
    /// `None`: it could not be opened, and is tried again.
    workers: Vec<Option<Victim>>,
    made: BTreeMap<&'static str, u32>,
}

impl<'a> Trouble<'a> {
    pub(crate) fn new(ground: &'a Ground, seed: u64) -> Self {
        let workers = (0..WORKERS).map(|_| ground.worker()).collect();
        Self {
            ground,
            random: seed,
            workers,
            made: BTreeMap::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    /// One after the other for so long; then all is well. Gives how often each was made.
    pub(crate) fn make(&mut self, time: Duration) -> BTreeMap<&'static str, u32> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            std::thread::sleep(self.millis(200, 1_500));
            let name = match self.below(12) {
                0..=2 => self.kill(),
                3 | 4 => self.freeze(),
                5 => self.stop(),
                6 | 7 => self.lock(),
                8 | 9 => self.set_clocks(),
                10 => self.restart(),
                _ => self.fill_the_disk(),
            };
            *self.made.entry(name).or_default() += 1;
            self.revive();
        }
        self.ground.set_clock(FAR_AHEAD_MS);
        let begun = Instant::now();
        while self.workers.iter().any(Option::is_none) {
            assert!(begun.elapsed() < HANGS, "a worker does not open");
            self.revive();
        }
        std::mem::take(&mut self.made)
    }

    fn one(&mut self) -> usize {
        self.below(WORKERS as u64) as usize
    }

    fn kill(&mut self) -> &'static str {
        let nth = self.one();
        // Dropped, and with it killed.
        self.workers[nth] = None;
        "kill"
    }

    fn freeze(&mut self) -> &'static str {
        let nth = self.one();
        let time = self.millis(300, 3 * LEASE.as_millis() as u64);
        if let Some(worker) = &self.workers[nth] {
            worker.signal("STOP");
            std::thread::sleep(time);
            self.note_thaw(worker.pid());
            worker.signal("CONT");
        }
        "freeze"
    }

    fn note_thaw(&self, pid: u32) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.ground.note_thaw(pid, at.as_micros() as u64);
    }

    fn stop(&mut self) -> &'static str {
        let nth = self.one();
        if let Some(mut worker) = self.workers[nth].take() {
            worker.signal("TERM");
            worker.ended();
        }
        "stop"
    }

    fn lock(&mut self) -> &'static str {
        let time = self.millis(300, 3 * LEASE.as_millis() as u64);
        let how = self.below(1_000);
        self.ground.rows().lock(how, time);
        "lock"
    }

    fn set_clocks(&mut self) -> &'static str {
        let ahead = [-30_000, -5_000, 0, 5_000, 30_000][self.below(5) as usize];
        self.ground.set_clock(ahead);
        "clock"
    }

    fn restart(&mut self) -> &'static str {
        #[cfg(feature = "postgres")]
        if let Some(server) = self.ground.restartable() {
            let how = match self.random % 2 {
                0 => Stop::Fast,
                _ => Stop::Immediate,
            };
            server.stop(how);
            std::thread::sleep(self.millis(0, 4_000));
            server.resume();
            return "restart";
        }
        self.workers.iter_mut().for_each(|worker| *worker = None);
        "kill all"
    }

    fn fill_the_disk(&mut self) -> &'static str {
        if !self.ground.disk.can_be_filled() {
            return "no full disk";
        }
        let full = self.ground.disk.fill();
        std::thread::sleep(self.millis(300, 4_000));
        drop(full);
        // A server that could not write its log has stopped.
        #[cfg(feature = "postgres")]
        if let Some(server) = self.ground.restartable() {
            server.revive();
        }
        "full disk"
    }

    /// Starts those that are gone; while the database is away or full they do not open.
    fn revive(&mut self) {
        for worker in &mut self.workers {
            if worker.is_none() {
                *worker = self.ground.worker();
            }
        }
    }

    /// Asks all to stop. The last one stays until those that were killed are known to be dead.
    pub(crate) fn retire(self) {
        let mut workers: Vec<Victim> = self.workers.into_iter().flatten().collect();
        let mut last = workers.pop().unwrap();
        for mut worker in workers {
            worker.signal("TERM");
            worker.ended();
        }
        let living =
            "SELECT CAST(count(*) AS text) FROM chrono_forge_workers WHERE stopped_at IS NULL";
        let begun = Instant::now();
        while self.ground.rows().texts(living).as_deref() != Some(&["1".to_owned()]) {
            assert!(begun.elapsed() < HANGS, "the dead are never declared dead");
            std::thread::sleep(Duration::from_millis(50));
        }
        last.signal("TERM");
        last.ended();
    }
}
