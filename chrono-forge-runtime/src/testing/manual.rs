//! The clock of a test.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::{Clock, Follower, Lull, Soon, after};

/// Nobody waits for what is further ahead of the instant that a clock was set to last: 100 years. So a repeat that
/// never ends, or a wait until the end of time, keeps no test.
const HORIZON: Duration = Duration::from_secs(100 * 31_557_600);

/// The pause of a skipping clock that finds nothing to skip to; each later one is twice as long.
const PAUSE: Duration = Duration::from_millis(1);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// A clock that stands still until it is moved; days pass in milliseconds. Clones are the same clock.
///
/// By hand, in big steps ([`advance`](Self::advance), [`set`](Self::set)) or from one instant that a run waits for to
/// the next ([`advance_to_next`](Self::advance_to_next), [`advance_through`](Self::advance_through)). Before it is
/// moved, [`Forge::settled`](crate::forge::Forge::settled) waits until the runs have come as far as they can.
///
/// ```
/// use std::time::Duration;
/// # mod chrono_forge { pub use chrono_forge_runtime::testing; }
/// use chrono_forge::testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(86_400));
/// assert_eq!(clock.now().duration_since(before).as_secs(), 86_400);
/// clock.set(before);
/// assert_eq!(clock.now(), before);
/// ```
///
/// Or by itself: a [skipping](Self::skipping) clock moves on whenever nothing is left to do at its instant and somebody
/// awaits the [result](crate::forge::Run::result) of a run that has none yet.
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

struct Shared {
    time: watch::Sender<Time>,
    skips: watch::Sender<bool>,
    engines: Mutex<Vec<Arc<dyn Follower>>>,
}

#[derive(Clone, Copy)]
struct Time {
    now: Timestamp,
    /// The instant that it was set to last, by whoever has the clock.
    set: Timestamp,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl ManualClock {
    /// A clock that stands at the present, at its last whole second: ticks stand on whole seconds, so a day later is the
    /// first tick of a repeat that begins now and comes daily.
    #[must_use]
    pub fn new() -> Self {
        let now = Timestamp::now().as_second();
        Self::at(Timestamp::from_second(now).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// A clock that stands at this instant.
    #[must_use]
    pub fn at(instant: Timestamp) -> Self {
        let time = Time {
            now: instant,
            set: instant,
        };
        Self {
            shared: Arc::new(Shared {
                time: watch::Sender::new(time),
                skips: watch::Sender::new(false),
                engines: Mutex::default(),
            }),
        }
    }

    /// A clock that begins at the present and [skips](Self::skip) by itself: `run.result().await` of a workflow that
    /// waits for days, and of one whose step is tried again in an hour, returns at once.
    #[must_use]
    pub fn skipping() -> Self {
        let clock = Self::new();
        clock.skip(true);
        clock
    }

    /// Whether the clock skips by itself, from now on, to the next instant that a run waits for: when everything that
    /// can run has run, and somebody awaits the result of a run that has none yet. In between it stands, so what a test
    /// does before it awaits a result is done at one instant.
    ///
    /// It stops at every instant, so no tick of a repeat is late. It goes no further than 100 years from where it was
    /// set last.
    pub fn skip(&self, on: bool) {
        self.shared.skips.send_replace(on);
    }

    /// The instant that it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.time.borrow().now
    }

    /// Moves the clock to this instant, which may be an earlier one; whoever sleeps until then wakes.
    pub fn set(&self, instant: Timestamp) {
        self.shared.time.send_replace(Time {
            now: instant,
            set: instant,
        });
    }

    /// Moves the clock; whoever sleeps until then wakes.
    ///
    /// In one step: of the ticks of a repeat that become due together, those that are late by more than its `timeout`
    /// are skipped, as after a long sleep. [`advance_through`](Self::advance_through) stops at each of them.
    pub fn advance(&self, span: Duration) {
        self.shared.time.send_modify(|time| {
            time.now = after(time.now, span);
            time.set = time.now;
        });
    }

    /// Waits until everything that can run has run, as [`Forge::settled`](crate::forge::Forge::settled), then moves the
    /// clock to the next instant that a run waits for: the end of a wait, a retry, a tick, a deadline. `false`, and
    /// nothing is moved, when there is none, or none within 100 years of where the clock was set last.
    ///
    /// All engines that were opened with this clock count, each with the workflows and queues that it serves.
    pub async fn advance_to_next(&self) -> bool {
        match self.next().await {
            Some(next) => self.reach(next),
            None => return false,
        }
        true
    }

    /// Lets this much time pass: moves from one instant that a run waits for to the next, as
    /// [`advance_to_next`](Self::advance_to_next), and at last to the end of the span. A week of ticks is seven ticks,
    /// each at its instant. Returns when everything that can run until then has run.
    pub async fn advance_through(&self, span: Duration) {
        let end = after(self.now(), span);
        while let Some(next) = self.next().await.filter(|next| *next <= end) {
            self.reach(next);
        }
        if self.now() < end {
            self.set(end);
        }
    }

    /// Moves forward, unless somebody has moved it further meanwhile.
    fn reach(&self, instant: Timestamp) {
        self.shared.time.send_if_modified(|time| {
            let is_ahead = time.now < instant;
            time.now = time.now.max(instant);
            is_ahead
        });
    }

    /// Once everything that can run has run: the next instant that a run waits for.
    async fn next(&self) -> Option<Timestamp> {
        // What one engine did last may be work for another that was asked before it: two calm rounds in a row.
        let mut calm = 0;
        loop {
            let engines = self.engines().clone();
            let mut lulls = Vec::with_capacity(engines.len());
            for engine in &engines {
                lulls.extend(engine.settled().await);
            }
            calm = match lulls.iter().all(|lull| lull.at_once) {
                true => calm + 1,
                false => 0,
            };
            if engines.len() < 2 || calm == 2 {
                return self.earliest(&lulls);
            }
        }
    }

    fn earliest(&self, lulls: &[Lull]) -> Option<Timestamp> {
        let horizon = after(self.shared.time.borrow().set, HORIZON);
        let next = lulls.iter().filter_map(|lull| lull.next).min();
        next.filter(|next| *next <= horizon)
    }

    fn engines(&self) -> MutexGuard<'_, Vec<Arc<dyn Follower>>> {
        let mut engines = self
            .shared
            .engines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| !engine.is_gone());
        engines
    }

    /// Skips for as long as the engine lives.
    async fn skip_for(self, engine: Arc<dyn Follower>) {
        let mut skips = self.shared.skips.subscribe();
        let mut pause = PAUSE;
        // The sender lives as long as the clock.
        while skips.wait_for(|on| *on).await.is_ok() {
            engine.awaited().await;
            let next = self.next().await;
            // Asked last: a result that has just come is not awaited any more, and then time stands.
            let is_wanted = self.skips() && engine.is_kept_waiting().await;
            match next.filter(|_| is_wanted) {
                Some(next) => {
                    self.reach(next);
                    pause = PAUSE;
                }
                None => {
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(PAUSE_MAX);
                }
            }
        }
    }

    fn skips(&self) -> bool {
        *self.shared.skips.borrow()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.now()
    }

    fn sleep_until(&self, deadline: Timestamp) -> Soon<'_, ()> {
        let mut moved = self.shared.time.subscribe();
        Box::pin(async move {
            // The sender lives as long as the clock that we borrow.
            let _ = moved.wait_for(|time| time.now >= deadline).await;
        })
    }

    fn is_virtual(&self) -> bool {
        true
    }

    fn lead(&self, engine: Arc<dyn Follower>) -> Option<Soon<'static, ()>> {
        self.engines().push(Arc::clone(&engine));
        Some(Box::pin(self.clone().skip_for(engine)))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now();
        f.debug_struct("ManualClock")
            .field("now", &now)
            .field("skips", &self.skips())
            .finish()
    }
}
