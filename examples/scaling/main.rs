//! Workers on several hosts: `cargo run --example scaling -- --help`, or `examples/scaling/run` for the whole scene.
//!
//! Each `work` is a process that could run anywhere: it knows the database and nothing of the others. `start` begins
//! a fan-out and follows it; it executes nothing itself. `relay` stands in for a network between two addresses of one
//! machine: freeze it, and whoever is behind it is cut off.

mod relay;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono_forge::prelude::*;
use clap::{Parser, Subcommand};

/// Workers on several hosts over one PostgreSQL.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Execute runs until SIGTERM, then finish what is under way.
    Work {
        /// `postgres://user@host/database?schema=name`
        database: String,
        /// What to call this worker.
        #[arg(long)]
        name: String,
        /// Seconds of silence after which the others take over.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
        lease: u64,
    },
    /// Start a fan-out and follow it to its end.
    Start {
        /// `postgres://user@host/database?schema=name`
        database: String,
        /// How many parcels to weigh.
        #[arg(long, default_value_t = 2_000)]
        parcels: u32,
        /// How long one takes, in milliseconds.
        #[arg(long, default_value_t = 200)]
        millis: u64,
    },
    /// Pass connections on from one address to another.
    Relay {
        /// Where to listen.
        from: std::net::SocketAddr,
        /// Where the database is.
        to: std::net::SocketAddr,
    },
}

/// Which worker did it: the parcel's only outcome.
#[workflow]
async fn weigh(name: State<Name>, parcel: u32, millis: u64) -> Result<String> {
    let by = step!("weigh", {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(name.0.clone())
    })
    .await?;
    anyhow::ensure!(parcel < u32::MAX);
    Ok(by)
}

/// How many parcels each worker weighed.
#[workflow]
async fn depot(parcels: u32, millis: u64) -> Result<BTreeMap<String, u32>> {
    let weighed = branch!("parcels", automerge = true, {
        spawn_each!("parcel", 0..parcels, |parcel| weigh(parcel, millis))
    })
    .await?;
    let mut tally = BTreeMap::new();
    for by in weighed.collect().await? {
        *tally.entry(by).or_default() += 1;
    }
    Ok(tally)
}

/// The worker's name.
struct Name(String);

#[tokio::main]
async fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Work {
            database,
            name,
            lease,
        } => work(&database, name, Duration::from_secs(lease)).await,
        Task::Start {
            database,
            parcels,
            millis,
        } => start(&database, parcels, millis).await,
        Task::Relay { from, to } => relay::pass_on(from, to).await,
    }
}

async fn work(database: &str, name: String, lease: Duration) -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let forge = Forge::builder(database)
        .worker_name(&name)
        .state(Name(name))
        .queue("default", 16)
        .lease(lease)
        .heartbeat(lease / 4)
        .open()
        .await?;
    forge.serve().await?;
    Ok(())
}

async fn start(database: &str, parcels: u32, millis: u64) -> Result<()> {
    let forge = Forge::builder(database).worker(false).open().await?;
    let run = forge.start("depot", depot(parcels, millis)).await?;
    let result = run.result();
    tokio::pin!(result);
    loop {
        tokio::select! {
            tally = &mut result => {
                for (worker, parcels) in tally? {
                    say(&format!("{worker} weighed {parcels}"))?;
                }
                return Ok(());
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                // The database may be away for a moment; the next look tells.
                if let Ok(branches) = run.branches().await {
                    for branch in branches {
                        say(&format!("{} of {} parcels left", branch.pending, branch.spawned))?;
                    }
                }
            }
        }
    }
}

fn say(line: &str) -> Result<()> {
    use std::io::Write;
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
