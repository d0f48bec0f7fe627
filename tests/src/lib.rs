//! What the suites share.

pub mod crash;
pub mod rows;
