//! Named places where a test can make the process die.
//!
//! Without the feature `testing` every place is an inlined `Continue`.

/// What a failpoint asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Go on.
    Continue,
    /// Behave as if the process had died here: write nothing more, acknowledge nothing more.
    Crash,
}

#[cfg(feature = "testing")]
pub use armed::Failpoints;
#[cfg(not(feature = "testing"))]
pub use inert::Failpoints;

#[cfg(not(feature = "testing"))]
mod inert {
    use super::Reaction;

    /// Failpoints of a build that has none.
    #[derive(Debug, Default)]
    pub struct Failpoints;

    impl Failpoints {
        #[inline]
        pub fn before_commit(&self, _name: &'static str) -> Reaction {
            Reaction::Continue
        }
        #[inline]
        pub fn after_commit(&self, _name: &'static str) -> Reaction {
            Reaction::Continue
        }
        #[inline]
        pub fn step_body(&self, _place: &'static str, _key: &str) -> Reaction {
            Reaction::Continue
        }
        #[inline]
        pub fn reach(&self, _place: &'static str) {}
    }
}

#[cfg(feature = "testing")]
mod armed {
    use std::collections::HashMap;
    use std::sync::{Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use super::Reaction;

    /// A hold that nobody ends is a mistake of the test; it then fails without it.
    const HELD_MAX: Duration = Duration::from_secs(10);

    /// Commits that follow no timer, so that their number is the same in each run of a test.
    const COUNTED: [&str; 4] = ["apply", "start", "claim", "wake"];

    /// What happens when an armed place is reached for the given time.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        Crash,
        Abort,
    }

    /// Places and when they go off.
    ///
    /// Places: `commit.before` and `commit.after` (each transaction of the engine but heartbeats),
    /// `commit.before.<kind>` and `commit.after.<kind>` (`apply`, `start`, `claim`, `wake`,
    /// `heartbeat`, ..), `step.before.<key>` and `step.after.<key>` (around a step's body), `flush` (a pass
    /// sends off what it has drafted, before it waits), `refusal` (a pass has heard that a write of it was
    /// refused), `backup.copy`, `backup.copied` and `backup.named` (a backup has a file of another name,
    /// that file is whole, it has its own name, too).
    #[derive(Debug, Default)]
    pub struct Failpoints {
        armed: Mutex<HashMap<String, (u64, Action)>>,
        hits: Mutex<HashMap<String, u64>>,
        held: Mutex<HashMap<String, Held>>,
    }

    /// A place that waits for another one.
    #[derive(Clone, Debug)]
    struct Held {
        at: u64,
        other: String,
        beyond: u64,
    }

    impl Failpoints {
        /// Failpoints as `CHRONO_FORGE_FAILPOINTS` arms them: `place=n` aborts the process when
        /// the place is reached for the n-th time; several are separated by `;`.
        #[must_use]
        pub fn from_env() -> Self {
            let points = Self::default();
            let spec = std::env::var("CHRONO_FORGE_FAILPOINTS").unwrap_or_default();
            for (place, nth) in spec.split(';').filter_map(|part| part.split_once('=')) {
                if let Ok(nth) = nth.trim().parse() {
                    points.arm_as(place.trim(), nth, Action::Abort);
                }
            }
            points
        }

        /// Makes the engine die, in this process, when `place` is reached for the `nth` time
        /// (1-based, counted from now on).
        pub fn arm(&self, place: &str, nth: u64) {
            self.arm_as(place, nth, Action::Crash);
        }

        /// Makes the thread that reaches `place` for the `nth` time (1-based, counted from now on) wait there
        /// until `other` is reached, so that a race of the two has one outcome.
        pub fn hold_until(&self, place: &str, nth: u64, other: &str) {
            let held = Held {
                at: self.hits(place) + nth,
                other: other.to_owned(),
                beyond: self.hits(other),
            };
            self.held().insert(place.to_owned(), held);
        }

        /// Forgets every armed place.
        pub fn disarm(&self) {
            self.armed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }

        /// How often a place was reached.
        #[must_use]
        pub fn hits(&self, place: &str) -> u64 {
            let hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
            hits.get(place).copied().unwrap_or(0)
        }

        pub fn before_commit(&self, name: &'static str) -> Reaction {
            self.commit("commit.before", name)
        }

        pub fn after_commit(&self, name: &'static str) -> Reaction {
            self.commit("commit.after", name)
        }

        pub fn step_body(&self, place: &'static str, key: &str) -> Reaction {
            self.hit(&format!("{place}.{key}"))
        }

        pub fn reach(&self, place: &'static str) {
            self.hit(place);
        }

        fn held(&self) -> std::sync::MutexGuard<'_, HashMap<String, Held>> {
            self.held.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn wait_at(&self, place: &str, count: u64) {
            let held = self.held().get(place).cloned();
            let Some(held) = held.filter(|held| held.at == count) else {
                return;
            };
            let since = Instant::now();
            while self.hits(&held.other) <= held.beyond && since.elapsed() < HELD_MAX {
                std::thread::sleep(Duration::from_millis(1));
            }
        }

        fn commit(&self, place: &str, name: &str) -> Reaction {
            let general = if COUNTED.contains(&name) {
                self.hit(place)
            } else {
                Reaction::Continue
            };
            match general {
                Reaction::Continue => self.hit(&format!("{place}.{name}")),
                Reaction::Crash => Reaction::Crash,
            }
        }

        fn arm_as(&self, place: &str, nth: u64, action: Action) {
            let at = self.hits(place) + nth;
            let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
            armed.insert(place.to_owned(), (at, action));
        }

        fn hit(&self, place: &str) -> Reaction {
            let count = {
                let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
                let count = hits.entry(place.to_owned()).or_default();
                *count += 1;
                *count
            };
            self.wait_at(place, count);
            let armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
            match armed.get(place) {
                Some((at, Action::Crash)) if *at == count => Reaction::Crash,
                Some((at, Action::Abort)) if *at == count => std::process::abort(),
                _ => Reaction::Continue,
            }
        }
    }
}
