//! One measured part in a process of its own, so that memory and caches are its own, too.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::sample::Sample;
use crate::{engine, floor};

/// What a child process measures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Job {
    FanoutEngine { children: u64, slots: Option<u64> },
    FanoutFloor(floor::fanout::Shape),
    StepsEngine { runs: u64, steps: u64 },
    StepsFloor { runs: u64, steps: u64 },
    LatencyEngine { runs: u64 },
    LatencyFloor { runs: u64 },
    RecordHistory { records: u64 },
    ResumeHistory { records: u64 },
    Join { joins: u64 },
    Blocked { children: u64 },
    Crowd(engine::crowd::Shape),
    Starvation(engine::starvation::Shape),
    Storm(engine::storm::Shape),
}

impl Job {
    /// Measures in a child process, on a new database in this directory.
    pub fn run_in(&self, dir: &Path) -> Result<Sample> {
        let home = tempfile::Builder::new().prefix("bench-").tempdir_in(dir)?;
        self.run_on(&home.path().join("bench.db"))
    }

    /// Measures in a child process, on this database.
    pub fn run_on(&self, path: &Path) -> Result<Sample> {
        let output = Command::new(std::env::current_exe()?)
            .env(
                "RUST_BACKTRACE",
                if self.has_backtraces() { "1" } else { "0" },
            )
            .env_remove("RUST_LIB_BACKTRACE")
            .arg("measure")
            .arg(serde_json::to_string(self)?)
            .arg(path)
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(
            output.status.success(),
            "{self:?} ended with {}",
            output.status
        );
        let line = output
            .stdout
            .split(|byte| *byte == b'\n')
            .rfind(|line| !line.is_empty());
        serde_json::from_slice(line.unwrap_or_default()).context("a sample")
    }

    /// Whether errors capture backtraces, whatever the shell says: they cost more than the attempt.
    fn has_backtraces(&self) -> bool {
        matches!(self, Self::Storm(shape) if shape.backtraces)
    }

    /// Measures here.
    pub fn measure(&self, path: &Path) -> Result<Sample> {
        let mut sample = match self {
            Self::FanoutEngine { children, slots } => {
                engine::fanout::measure(path, *children, *slots)
            }
            Self::FanoutFloor(shape) => floor::fanout::measure(path, shape),
            Self::StepsEngine { runs, steps } => engine::steps::concurrent(path, *runs, *steps),
            Self::StepsFloor { runs, steps } => floor::steps::together(path, *runs, *steps),
            Self::LatencyEngine { runs } => engine::steps::latency(path, *runs),
            Self::LatencyFloor { runs } => floor::steps::latency(path, *runs),
            Self::RecordHistory { records } => engine::replay::record(path, *records),
            Self::ResumeHistory { records } => engine::replay::resume(path, *records),
            Self::Join { joins } => engine::join::measure(path, *joins),
            Self::Blocked { children } => engine::blocked::measure(path, *children),
            Self::Crowd(shape) => engine::crowd::measure(path, shape),
            Self::Starvation(shape) => engine::starvation::measure(path, shape),
            Self::Storm(shape) => engine::storm::measure(path, shape),
        }?;
        sample.db_bytes = floor::database_bytes(path)?;
        Ok(sample)
    }
}
