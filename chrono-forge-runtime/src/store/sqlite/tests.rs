//! The store's contract, sentence by sentence, against `dyn Store` and `dyn Writer`; and, in
//! `file` and `plans`, what only SQLite has.

mod audits;
mod blocked;
mod claims;
mod commits;
mod dispatch;
mod file;
mod fixture;
mod liveness;
mod plans;
mod races;
mod reads;
mod recovery;
mod results;
mod sharing;
mod steps;
mod wakes;
