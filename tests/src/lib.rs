//! What the suites share.

pub mod billing;
pub mod crash;
pub mod journal;
pub mod labour;
pub mod process;
pub mod rows;
pub mod scenario;
pub mod shop;
