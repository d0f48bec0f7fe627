//! The engine of chrono-forge.
#![allow(missing_docs)]

pub mod record;
pub mod store;
