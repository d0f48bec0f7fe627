//! The names of spans and events, so that a filter written once keeps working.

/// Target of every event of the engine.
pub const TARGET: &str = "chrono_forge";
