//! What the suites share.

// The attributes name this crate.
#[cfg(test)]
extern crate self as chrono_forge_tests;

pub mod backend;
pub mod billing;
pub mod crash;
pub mod database;
pub mod journal;
pub mod labour;
pub mod process;
pub mod proxy;
pub mod rows;
pub mod scenario;
pub mod server;
pub mod shop;
pub mod soak;
pub mod telling;
