//! The unit tests inside the example `manifest`. Cargo would run them in place of building the
//! example, which the other tests start; so the rooms that have tests are built again here.

#![allow(dead_code, reason = "the example uses the rest")]

#[path = "../manifest/name.rs"]
mod name;
#[path = "../manifest/output.rs"]
mod output;
#[path = "../manifest/walk.rs"]
mod walk;
