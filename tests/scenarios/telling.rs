//! What is told of runs: each event one line, at the level that its reader needs, with what there
//! is to do.

mod queues;
mod renamed;
mod repeats;
mod runs;
mod spans;
mod storms;
