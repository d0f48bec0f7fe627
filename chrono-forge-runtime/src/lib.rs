//! The engine of chrono-forge: what `#[workflow]` expands to, and what executes it.
//!
//! The rooms, from top to bottom; a room uses only rooms below it and the ground floor:
//!
//! ```text
//! __private, forge -> context -> engine -> commit -> store
//! ground floor: record, archive, definition, error, clock, failpoint, retry, schedule, telemetry
//! ```
//!
//! Applications depend on `chrono-forge`, which re-exports what they need.
#![allow(missing_docs)]

#[doc(hidden)]
pub mod __private;
pub mod archive;
pub mod clock;
pub mod commit;
pub mod context;
pub mod definition;
pub mod engine;
pub mod error;
pub mod failpoint;
pub mod forge;
pub mod record;
pub mod retry;
pub mod schedule;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
