//! `cargo xtask <task>`: every task of the house that is more than one cargo command. CI runs the same.
#![allow(clippy::print_stdout, reason = "a command's output is its purpose")]

mod args;
mod beside;
mod cargo;
mod deny;
mod doc;
mod examples;
mod failures;
mod features;
mod fmt;
mod lint;
mod manifest_example;
mod package;
mod server;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::args::{Args, EXAMPLE_SECONDS, Task};
use crate::step::Step;
use crate::workspace::Workspace;

fn main() -> Result<ExitCode> {
    let task = Args::parse().task;
    let workspace = Workspace::load()?;
    let steps = match task {
        Task::Ci => ci(&workspace),
        Task::Fmt { check } => fmt::steps(check),
        Task::Lint => lint::steps(&workspace),
        Task::Doc => doc::steps(&workspace),
        Task::Test => test::steps(),
        Task::Features => features::steps(&workspace),
        Task::Examples { seconds } => examples::steps(&workspace, seconds),
        Task::Beside => beside::steps(&workspace),
        Task::Package { verify } => package::steps(&workspace, verify),
    };
    Ok(step::run_all(steps))
}

/// Cheap steps come first. Those that compile share one target folder and, as far as their features allow,
/// its artefacts.
fn ci(workspace: &Workspace) -> Vec<Step> {
    let mut steps = fmt::steps(true);
    steps.extend(lint::steps(workspace));
    steps.extend(features::steps(workspace));
    steps.extend(doc::steps(workspace));
    steps.extend(test::steps());
    steps.extend(examples::steps(workspace, EXAMPLE_SECONDS));
    steps.extend(beside::some());
    steps.extend(package::steps(workspace, false));
    steps
}
