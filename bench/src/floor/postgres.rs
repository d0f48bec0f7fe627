//! The same rows on PostgreSQL, written by array statements that are prepared once.
//!
//! Through Diesel and libpq, the client that the engine uses: so the ratio tells what the engine costs and not which
//! client is faster. The sessions are set up as the store's: plans pinned to the indexes, never made anew.

mod attempts;
mod crowd;
pub mod fanout;
pub mod runs;
mod session;
mod statements;
#[cfg(test)]
mod tests;

pub use attempts::first_retry_delays;
pub use crowd::enter;
pub use session::Session;
