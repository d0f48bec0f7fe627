//! Measures the engine beside its floor; see the README.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on its terminal"
)]
#![allow(
    unreachable_pub,
    reason = "a binary has no outside: `pub` tells what a module offers to the others"
)]

mod cli;
mod engine;
mod floor;
mod job;
mod log;
mod machine;
mod meter;
mod place;
mod quantiles;
mod report;
mod rounds;
mod sample;
mod spread;
mod stats;
#[cfg(feature = "postgres")]
mod wire;
mod workload;

fn main() -> anyhow::Result<()> {
    cli::run()
}
