//! Running cargo, in the workspace's root.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::failures::Failures;
use crate::step::Outcome;

/// After so many minutes a cargo command is ended, with all that it started. CI sets it: a test
/// that hangs must not keep the results of all other steps from being told.
const MINUTES_MAX: &str = "CHRONO_FORGE_XTASK_MINUTES_MAX";

/// How long the output of a command is waited for once it has ended.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// The exit code of `timeout` for a command that it ended.
const TIMED_OUT: i32 = 124;

/// Runs `cargo <arguments>` with its output on ours.
pub(crate) fn run(arguments: &[String]) -> Result<Outcome> {
    run_with(arguments, &[])
}

/// The same with additional environment variables.
pub(crate) fn run_with(arguments: &[String], variables: &[(&str, &str)]) -> Result<Outcome> {
    let settings: String = variables
        .iter()
        .map(|(name, value)| format!("{name}='{value}' "))
        .collect();
    println!("$ {settings}cargo {}", arguments.join(" "));
    let mut command = bounded(arguments);
    command.envs(variables.iter().copied());
    let (status, failures) = watched(command)?;
    ensure!(
        status.code() != Some(TIMED_OUT),
        "cargo {} hung: it was ended after {} minutes",
        arguments[0],
        std::env::var(MINUTES_MAX).unwrap_or_default()
    );
    let ended = || format!("cargo {} ended with {status}", arguments[0]);
    match (status.success(), failures.text()) {
        (true, _) => Ok(Outcome::Passed),
        (false, None) => bail!(ended()),
        (false, Some(text)) => Err(anyhow!(text).context(ended())),
    }
}

/// Runs the command with its output on ours, and keeps what it says of failed tests.
fn watched(mut command: Command) -> Result<(ExitStatus, Failures)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            println!("{line}");
            let _ = sender.send(line);
        }
    });
    let status = child.wait().context("cannot wait for cargo")?;
    let mut failures = Failures::default();
    // A process that a test left behind may hold the pipe open: then its end does not come.
    while let Ok(line) = lines.recv_timeout(LAST_WORDS_MAX) {
        failures.read(&line);
    }
    Ok((status, failures))
}

/// Runs `cargo <arguments>` and returns what it printed.
pub(crate) fn output(arguments: &[&str]) -> Result<String> {
    let output = command(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo {} ended with {}",
        arguments[0],
        output.status
    );
    String::from_utf8(output.stdout).context("cargo printed no text")
}

/// Is there a subcommand of this name, such as `deny`?
pub(crate) fn has(subcommand: &str) -> bool {
    let mut command = command(&[subcommand, "--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn command<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
    let mut command = Command::new(cargo());
    command.args(arguments).current_dir(root());
    command
}

/// The same for no longer than [`MINUTES_MAX`].
fn bounded(arguments: &[String]) -> Command {
    let Ok(minutes) = std::env::var(MINUTES_MAX) else {
        return command(arguments);
    };
    let mut bounded = Command::new("timeout");
    bounded.arg("--kill-after=10s").arg(format!("{minutes}m"));
    bounded.arg(cargo()).args(arguments).current_dir(root());
    bounded
}

/// The cargo that runs us, which may not be the first in the path.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
