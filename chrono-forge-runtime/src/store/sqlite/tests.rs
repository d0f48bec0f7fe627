//! What only SQLite has: the file and its lock, the plans of its queries, the steps of its machine.

mod deploys;
mod ear;
mod file;
mod log;
mod opening;
mod pages;
mod plans;
mod sharing;
mod steps;

use crate::store::conformance::backend::sqlite::Scratch;
use crate::store::conformance::fixture::Forge;

/// A store on a file of its own.
fn open() -> (Forge, Scratch) {
    let scratch = Scratch::new();
    (Forge::of(Box::new(scratch.clone())), scratch)
}
