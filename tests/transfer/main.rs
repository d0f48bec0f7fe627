//! Runs that move from one database to another, in the middle of what they do.

#![allow(
    clippy::unwrap_used,
    reason = "bodies and helpers of tests are tests, too"
)]

mod conflicts;
mod cut_off;
mod files;
mod fleet;
mod ground;
mod moves;
mod namesakes;
mod scale;
mod workers;
