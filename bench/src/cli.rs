//! The command line.

mod all;
mod asked;

use std::ffi::OsString;
use std::path::PathBuf;

#[cfg(feature = "postgres")]
use anyhow::Context;
use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

pub use asked::{
    Children, Concurrent, Crowd, Fanout, Heartbeat, Joins, Latency, Replay, Sequential, Starvation,
    Storm,
};

use crate::floor::crowd::Kind;
use crate::job::Job;
use crate::log;
use crate::place::{self, Ground, Place};
use crate::report::Report;
use crate::workload;

/// Measures chrono-forge beside its floor: the same rows by bare SQL, without an engine.
#[derive(Debug, Parser)]
#[command(version, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    workload: Workload,
    /// The engine's log on the standard error, up to this level (error, warn, info, debug, trace)
    #[arg(long, global = true, env = log::VARIABLE)]
    log: Option<LevelFilter>,
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
    /// How late a busy engine renews its lease
    Heartbeat {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Heartbeat,
    },
    /// The one child that keeps its parent waiting: named, then retried by hand
    Blocked {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Children,
    },
    /// Runs beside a million others that sleep
    Sleepers {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Crowd,
    },
    /// Runs beside 500,000 due ones of a workflow that no worker serves
    Unclaimable {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Crowd,
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
    /// Every workload, and the table of all
    Report(all::Asked),
    /// One part in this process; prints its sample as JSON
    #[command(hide = true)]
    Measure { job: String, place: OsString },
}

/// What every workload takes.
#[derive(Debug, Args)]
pub struct Common {
    /// The database
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub store: Store,
    /// The server of `--store postgres`, on which each round has a schema of its own
    #[cfg(feature = "postgres")]
    #[arg(long, env = "CHRONO_FORGE_BENCH_POSTGRES_URL")]
    url: Option<String>,
    /// What a commit survives on SQLite, of the floor and of the engine: a power cut, or the end of
    /// the process
    #[arg(long, value_enum, default_value_t = Synchronous::Full)]
    synchronous: Synchronous,
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
    /// What a commit survives, where the command line says so.
    fn synchronous(&self) -> Option<&'static str> {
        match (self.store, self.synchronous) {
            (Store::Sqlite, Synchronous::Full) => Some("full"),
            (Store::Sqlite, Synchronous::Normal) => Some("normal"),
            #[cfg(feature = "postgres")]
            (Store::Postgres, _) => None,
        }
    }

    /// Where rounds find new databases.
    pub fn ground(&self) -> Result<Ground> {
        Ok(match self.store {
            Store::Sqlite => {
                let dir = place::resolve(self.dir.as_deref())?;
                Ground::Directory(dir, self.synchronous == Synchronous::Normal)
            }
            #[cfg(feature = "postgres")]
            Store::Postgres => Ground::Server(
                self.url
                    .clone()
                    .context("give the server: --url postgres://user@host/database")?,
            ),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Store {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Synchronous {
    Full,
    Normal,
}

impl Store {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres => "postgres",
        }
    }
}

/// Runs what the command line asks for.
pub fn run() -> Result<()> {
    let cli = Cli::parse();
    if let Some(level) = cli.log {
        log::subscribe(level);
    }
    match cli.workload {
        Workload::Measure { job, place } => {
            let job: Job = serde_json::from_str(&job)?;
            let sample = job.measure(&Place::parse(&place))?;
            println!("{}", serde_json::to_string(&sample)?);
            Ok(())
        }
        Workload::Report(asked) => all::report(&asked),
        workload => {
            let (common, report) = measure(&workload)?;
            report.print(common.json)
        }
    }
}

fn measure(workload: &Workload) -> Result<(&Common, Report)> {
    use Workload as W;
    use workload::{crowd, fanout, floor, starvation, steps, storm, wakes};
    let (common, report) = match workload {
        W::Floor { common, asked } => (common, floor::run(common, asked)),
        W::Fanout { common, asked } => (common, fanout::run(common, asked)),
        W::Sequential { common, asked } => (common, steps::sequential(common, asked)),
        W::Concurrent { common, asked } => (common, steps::concurrent(common, asked)),
        W::Replay { common, asked } => (common, wakes::replay(common, asked)),
        W::Latency { common, asked } => (common, steps::latency(common, asked)),
        W::JoinWake { common, asked } => (common, wakes::join(common, asked)),
        W::Heartbeat { common, asked } => (common, wakes::heartbeat(common, asked)),
        W::Blocked { common, asked } => (common, wakes::blocked(common, asked)),
        W::Sleepers { common, asked } => (common, crowd::run(common, Kind::Sleepers, asked)),
        W::Unclaimable { common, asked } => (common, crowd::run(common, Kind::Unclaimable, asked)),
        W::Starvation { common, asked } => (common, starvation::run(common, asked)),
        W::Storm { common, asked } => (common, storm::run(common, asked)),
        W::Report(_) | W::Measure { .. } => anyhow::bail!("this is no workload"),
    };
    let report = report?.on(common.store.name());
    let report = report.committing(common.synchronous());
    Ok((common, report.logging(log::level())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_asked_for_by_its_level() {
        let log = |level| Cli::try_parse_from(["bench", "fanout", "--log", level]).map(|it| it.log);
        assert_eq!(log("info").unwrap(), Some(LevelFilter::INFO));
        assert!(log("loud").is_err());
    }

    #[test]
    fn what_is_asked_of_commits_is_told() {
        let told = |asked: &[&str]| {
            let args = ["bench", "fanout"].iter().chain(asked);
            let Workload::Fanout { common, .. } = Cli::parse_from(args).workload else {
                panic!("another workload");
            };
            common.synchronous()
        };
        assert_eq!(told(&[]), Some("full"));
        assert_eq!(told(&["--synchronous", "normal"]), Some("normal"));
    }
}
