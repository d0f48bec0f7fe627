//! The floor: the rows that the engine leaves, written by hand-prepared SQL without an engine.
//!
//! The shipped schema, one connection that writes, WAL with what `--synchronous` asks of commits
//! (`FULL`); the statements of the store (`chrono-forge-runtime/src/store/sqlite`), each prepared
//! once and kept.

mod attempts;
pub mod crowd;
mod database;
pub mod fanout;
pub mod heartbeats;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod runs;
#[cfg(feature = "postgres")]
pub mod server;
mod statements;
pub mod steps;

pub use attempts::first_retry_delays;
pub use database::{Database, database_bytes};

#[cfg(test)]
mod tests;
