//! Every workload, one after the other, and the table of all.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser};

use super::{Cli, Store, measure};
use crate::report::markdown;

/// The command lines, and what makes a smoke run of each: it shows that it runs, and its figures
/// mean nothing.
const ALL: &[(&str, &str)] = &[
    ("fanout", "--children 2000"),
    ("fanout --children 1000000", "--children 5000"),
    ("sequential", "--steps 50"),
    ("concurrent", "--steps 10"),
    ("latency", "--runs 20"),
    ("join-wake", "--joins 10"),
    ("heartbeat", "--children 5000 --interval-ms 10"),
    ("replay", "--records 500"),
    ("storm", "--healthy 20000 --failing 200"),
    ("starvation", "--children 5000 --idle-ms 500"),
    ("sleepers", "--crowd 2000 --runs 200"),
    ("unclaimable", "--crowd 2000 --runs 200"),
    ("blocked", "--children 500"),
];

#[derive(Debug, Args)]
pub struct Asked {
    /// A smoke run: one round of everything, and very little of it
    #[arg(long)]
    quick: bool,
    /// How often floor and engine take turns
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// After the table the JSON object of each workload, one a line
    #[arg(long)]
    json: bool,
    /// The database
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    store: Store,
    /// The server of `--store postgres`
    #[cfg(feature = "postgres")]
    #[arg(long, env = "CHRONO_FORGE_BENCH_POSTGRES_URL")]
    url: Option<String>,
    /// Where the databases lie, each removed after its round [default: beside the executable]
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Runs them all; what is under way is told on the error output, the table on the other one.
pub fn report(asked: &Asked) -> Result<()> {
    let mut objects = Vec::with_capacity(ALL.len());
    for (nth, (line, quick)) in ALL.iter().enumerate() {
        eprintln!("{} of {}: {line}", nth + 1, ALL.len());
        let command = command(asked, line, quick)?;
        let (_, report) = measure(&command.workload).with_context(|| (*line).to_owned())?;
        objects.push(serde_json::to_value(&report)?);
    }
    print!("{}", markdown::of(&objects));
    for object in objects.iter().filter(|_| asked.json) {
        println!("{object}");
    }
    Ok(())
}

fn command(asked: &Asked, line: &str, quick: &str) -> Result<Cli> {
    let rounds = if asked.quick { 1 } else { asked.rounds }.to_string();
    let quick = if asked.quick { quick } else { "" };
    let words = line.split(' ').chain(quick.split_whitespace());
    let mut words: Vec<std::ffi::OsString> = std::iter::once("bench")
        .chain(words)
        .map(Into::into)
        .collect();
    words.extend(["--rounds".into(), rounds.into()]);
    words.extend(["--store".into(), asked.store.name().into()]);
    #[cfg(feature = "postgres")]
    if let Some(url) = &asked.url {
        words.extend(["--url".into(), url.into()]);
    }
    if let Some(dir) = &asked.dir {
        words.extend(["--dir".into(), dir.into()]);
    }
    Ok(Cli::try_parse_from(words)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood_whole_and_quick() {
        for quick in [true, false] {
            let asked = Asked {
                quick,
                rounds: 3,
                json: false,
                store: Store::Sqlite,
                #[cfg(feature = "postgres")]
                url: Some("postgres://somewhere/db".into()),
                dir: Some("somewhere".into()),
            };
            for (line, less) in ALL {
                command(&asked, line, less).unwrap();
            }
        }
    }

    #[test]
    fn every_workload_is_in_the_report_except_the_floor_alone() {
        let listed = |name: &str| {
            ALL.iter()
                .any(|(line, _)| line.split(' ').next() == Some(name))
        };
        let command = <Cli as clap::CommandFactory>::command();
        for workload in command.get_subcommands().map(clap::Command::get_name) {
            let own = ["floor", "report", "measure"].contains(&workload);
            assert_eq!(listed(workload), !own, "{workload}");
        }
    }
}
