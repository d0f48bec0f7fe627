//! The command line.

mod asked;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use asked::{
    Children, Concurrent, Fanout, Joins, Latency, Replay, Sequential, Starvation, Storm,
};

use crate::job::Job;
use crate::report::Report;
use crate::{place, workload};

/// Measures chrono-forge beside its floor: the same rows by bare SQL, without an engine.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Debug, Subcommand)]
enum Workload {
    /// The fan-out's floor alone: batches of 1000 and 500, children inserted claimed and idle
    Floor {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Children,
    },
    /// A parent of many children of one step each, from its start to its result
    Fanout {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Fanout,
    },
    /// One run of many steps in sequence, beside bare commits
    Sequential {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Sequential,
    },
    /// Many runs of steps at once, beside batched records
    Concurrent {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Concurrent,
    },
    /// A run with a long history, woken in a new process
    Replay {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Replay,
    },
    /// Start to result of one step on an idle engine
    Latency {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Latency,
    },
    /// From the last child's end to its parent's next line
    JoinWake {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Joins,
    },
    /// Small runs that come while a fan-out of a million is under way
    Starvation {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Starvation,
    },
    /// Healthy runs while thousands of others fail and are tried again
    Storm {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Storm,
    },
    /// One part in this process; prints its sample as JSON
    #[command(hide = true)]
    Measure { job: String, path: PathBuf },
}

/// What every workload takes.
#[derive(Debug, Args)]
pub struct Common {
    /// The database
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// How often floor and engine take turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// End with one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// Where the databases lie, each removed after its round [default: beside the executable]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Common {
    /// The directory of the databases.
    pub fn dir(&self) -> Result<PathBuf> {
        let Store::Sqlite = self.store;
        place::resolve(self.dir.as_deref())
    }

    fn tell(&self, report: &Report) -> Result<()> {
        report.print(self.json)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Store {
    Sqlite,
}

/// Runs what the command line asks for.
pub fn run() -> Result<()> {
    match Cli::parse().workload {
        Workload::Floor { common, asked } => common.tell(&workload::floor::run(&common, &asked)?),
        Workload::Fanout { common, asked } => common.tell(&workload::fanout::run(&common, &asked)?),
        Workload::Sequential { common, asked } => {
            common.tell(&workload::steps::sequential(&common, &asked)?)
        }
        Workload::Concurrent { common, asked } => {
            common.tell(&workload::steps::concurrent(&common, &asked)?)
        }
        Workload::Replay { common, asked } => {
            common.tell(&workload::wakes::replay(&common, &asked)?)
        }
        Workload::Latency { common, asked } => {
            common.tell(&workload::steps::latency(&common, &asked)?)
        }
        Workload::JoinWake { common, asked } => {
            common.tell(&workload::wakes::join(&common, &asked)?)
        }
        Workload::Starvation { common, asked } => {
            common.tell(&workload::starvation::run(&common, &asked)?)
        }
        Workload::Storm { common, asked } => common.tell(&workload::storm::run(&common, &asked)?),
        Workload::Measure { job, path } => {
            let job: Job = serde_json::from_str(&job)?;
            println!("{}", serde_json::to_string(&job.measure(&path)?)?);
            Ok(())
        }
    }
}
