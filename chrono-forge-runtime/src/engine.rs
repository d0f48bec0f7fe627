//! The engine: decides what runs, when, and what is written about it.
//!
//! [`scheduler`] claims due runs into [`slots`], [`executor`] takes one run through its pass with
//! the [`driver`], [`outcome`] decides what the pass's end means, [`liveness`] keeps the worker's
//! lease and recovers others' runs, [`holdings`] is what this worker holds, [`audit`] looks after
//! the counters of branches, [`calls`] go between processes. [`reading`] is how a body waits for a
//! read of the engine's own. [`report`] is what operators are told. [`settling`] tells when nothing
//! is left to run. [`host`] is what they share; [`parts`] and [`end`] see to it that none of them
//! dies alone.

pub mod alarm;
pub mod applications;
pub mod audit;
pub mod calls;
pub mod config;
pub mod driver;
pub mod end;
pub mod executor;
pub mod holdings;
pub mod host;
pub mod hub;
pub mod liveness;
pub mod lookout;
pub mod outcome;
pub mod panics;
pub mod parts;
pub mod pass;
pub mod reading;
pub mod registry;
pub mod repeat;
pub mod report;
pub mod scheduler;
pub mod settling;
pub mod slots;
pub mod timekeeping;
