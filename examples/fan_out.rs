//! Many children and their results: `cargo run --release --example fan_out -- 100000`.
//!
//! Each child is a run of its own: it is retried, parked and resumed by itself, on any worker. The
//! parent waits for all of them without being in memory.

use std::time::Instant;

use chrono_forge::prelude::*;
use clap::Parser;

/// Many children and their results.
#[derive(Parser)]
struct Options {
    /// How many children
    #[arg(default_value_t = 2_000)]
    children: u64,
}

#[workflow]
async fn square(n: u64) -> Result<u64> {
    step!("multiply", { Ok(n * n) }).await.map_err(Into::into)
}

#[workflow]
async fn sum_of_squares(n: u64) -> Result<u64> {
    // The block dispatches: 1000 children per transaction, with a cursor, so that after a crash it
    // goes on at the first number that has no child. Children start while it still dispatches.
    let squares = branch!("squares", { spawn_each!("square", 0..n, |i| square(i)) }).await?;
    // Results come in the order of dispatch, a page at a time, so that their number costs no memory.
    let squares = merge!(squares).await?;
    Ok(squares.fold(0, |sum, square| sum + square).await?)
}

#[tokio::main]
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the application"
)]
async fn main() -> Result<()> {
    let Options { children } = Options::parse();
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("squares.db");
    let forge = Forge::builder(&database.to_string_lossy())
        // Bodies in work at the same time; what is recorded together shares a transaction.
        .queue("default", 1_000)
        .open()
        .await?;
    let begun = Instant::now();
    let run = forge.start("squares", sum_of_squares(children)).await?;
    println!(
        "the first {children} squares add up to {}",
        run.result().await?
    );
    // Not on standard output, which is the same every time.
    let seconds = begun.elapsed().as_secs_f64();
    let (rate, commits) = (children as f64 / seconds, forge.commits());
    eprintln!("{rate:.0} children a second, {commits} transactions");
    forge.shutdown().await;
    Ok(())
}
