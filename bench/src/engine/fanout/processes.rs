//! Further processes that work on the same database.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Shape;
use crate::job::Job;
use crate::place::Place;
use crate::sample::Sample;

/// They work until their input ends.
pub struct Helpers(Vec<(Child, BufReader<ChildStdout>)>);

impl Helpers {
    /// All but the one process that asks; waits until they serve.
    pub fn start(place: &Place, shape: &Shape) -> Result<Self> {
        let start = |_| {
            let mut process = Command::new(std::env::current_exe()?)
                .arg("measure")
                .arg(serde_json::to_string(&Job::FanoutHelper(*shape))?)
                .arg(place.to_string())
                .envs(crate::log::variable())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut output = BufReader::new(process.stdout.take().context("an output")?);
            let mut line = String::new();
            output.read_line(&mut line)?;
            ensure!(line.trim() == "ready", "a helper says {line:?}");
            Ok((process, output))
        };
        Ok(Self(
            (1..shape.processes).map(start).collect::<Result<_>>()?,
        ))
    }

    /// Ends them, and adds what they took.
    pub fn stop(self, sample: &mut Sample) -> Result<()> {
        for (mut process, mut output) in self.0 {
            drop(process.stdin.take());
            let mut text = String::new();
            output.read_to_string(&mut text)?;
            process.wait()?;
            let helped: Sample = serde_json::from_str(text.trim()).context("a helper's sample")?;
            let cpu = sample.cpu_seconds.zip(helped.cpu_seconds);
            sample.cpu_seconds = cpu.map(|(own, theirs)| own + theirs);
            let commits = sample.commits.zip(helped.commits);
            sample.commits = commits.map(|(own, theirs)| own + theirs);
        }
        Ok(())
    }
}

/// Says that this process serves, and waits for the end of its input.
pub async fn until_told() -> Result<()> {
    println!("ready");
    std::io::stdout().flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
