//! For tests: a clock that is moved by hand or skips by itself, and places where the engine dies.
//!
//! Not for production builds: enable the feature `testing` among dev-dependencies.

mod manual;

pub use crate::clock::Clock;
pub use crate::failpoint::{Failpoints, Reaction};
pub use manual::ManualClock;
