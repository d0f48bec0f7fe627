//! What the suites share.

pub mod scenario;
