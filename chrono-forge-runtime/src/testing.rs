//! For tests: a clock that is moved by hand, and places where the engine dies.
//!
//! Not for production builds: enable the feature `testing` among dev-dependencies.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

pub use crate::clock::Clock;
pub use crate::failpoint::{Failpoints, Reaction};

use crate::clock::after;

/// A clock that stands still until it is moved; days pass in milliseconds.
///
/// ```
/// use std::time::Duration;
/// use chrono_forge_runtime::testing::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(86_400));
/// assert_eq!(clock.now().duration_since(before).as_secs(), 86_400);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<Mutex<watch::Sender<Timestamp>>>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl ManualClock {
    /// A clock that stands at the present, in whole microseconds as rows keep them.
    #[must_use]
    pub fn new() -> Self {
        let now = Timestamp::now().as_microsecond();
        Self::at(Timestamp::from_microsecond(now).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// A clock that stands at this instant.
    #[must_use]
    pub fn at(instant: Timestamp) -> Self {
        Self {
            now: Arc::new(Mutex::new(watch::Sender::new(instant))),
        }
    }

    /// Moves the clock; whoever sleeps until then wakes.
    pub fn advance(&self, span: Duration) {
        self.sender().send_modify(|now| *now = after(*now, span));
    }

    /// Sets the clock, also back, as the clock of a host is set. Who sleeps until an instant wakes
    /// when the clock reaches it.
    ///
    /// ```
    /// use chrono_forge_runtime::testing::{Clock, ManualClock};
    ///
    /// let clock = ManualClock::new();
    /// let noon = "2100-01-01T12:00:00Z".parse()?;
    /// clock.set(noon);
    /// assert_eq!(clock.now(), noon);
    /// # Ok::<(), jiff::Error>(())
    /// ```
    pub fn set(&self, instant: Timestamp) {
        self.sender().send_replace(instant);
    }

    fn sender(&self) -> MutexGuard<'_, watch::Sender<Timestamp>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.sender().borrow()
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut moved = self.sender().subscribe();
        Box::pin(async move {
            // The sender lives as long as the clock that we borrow.
            let _ = moved.wait_for(|now| *now >= deadline).await;
        })
    }

    fn is_virtual(&self) -> bool {
        true
    }
}
