//! One measured part in a process of its own, so that memory and caches are its own, too.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::place::{Ground, Place};
use crate::sample::Sample;
use crate::{engine, floor};

/// What a child process measures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Job {
    FanoutEngine(engine::fanout::Shape),
    /// A process that helps another one with it.
    FanoutHelper(engine::fanout::Shape),
    FanoutFloor(floor::fanout::Shape),
    StepsEngine {
        runs: u64,
        steps: u64,
    },
    StepsFloor {
        runs: u64,
        steps: u64,
    },
    LatencyEngine {
        runs: u64,
    },
    LatencyFloor {
        runs: u64,
    },
    RecordHistory {
        records: u64,
    },
    ResumeHistory {
        records: u64,
    },
    Join {
        joins: u64,
    },
    Blocked {
        children: u64,
    },
    Heartbeat(engine::heartbeat::Shape),
    Crowd(engine::crowd::Shape),
    Starvation(engine::starvation::Shape),
    Storm(engine::storm::Shape),
}

impl Job {
    /// Measures in a child process, on a new database.
    pub fn run_in(&self, ground: &Ground) -> Result<Sample> {
        self.run_on(&ground.home()?.place)
    }

    /// Measures in a child process, on this database.
    pub fn run_on(&self, place: &Place) -> Result<Sample> {
        let output = Command::new(std::env::current_exe()?)
            .env(
                "RUST_BACKTRACE",
                if self.has_backtraces() { "1" } else { "0" },
            )
            .env_remove("RUST_LIB_BACKTRACE")
            .envs(crate::log::variable())
            .arg("measure")
            .arg(serde_json::to_string(self)?)
            .arg(place.to_string())
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
    pub fn measure(&self, place: &Place) -> Result<Sample> {
        let mut sample = match self {
            Self::FanoutEngine(shape) => engine::fanout::measure(place, shape),
            Self::FanoutHelper(shape) => engine::fanout::help(place, shape),
            Self::FanoutFloor(shape) => floor::fanout::measure(place, shape),
            Self::StepsEngine { runs, steps } => engine::steps::concurrent(place, *runs, *steps),
            Self::StepsFloor { runs, steps } => floor::steps::together(place, *runs, *steps),
            Self::LatencyEngine { runs } => engine::steps::latency(place, *runs),
            Self::LatencyFloor { runs } => floor::steps::latency(place, *runs),
            Self::RecordHistory { records } => engine::replay::record(place, *records),
            Self::ResumeHistory { records } => engine::replay::resume(place, *records),
            Self::Join { joins } => engine::join::measure(place, *joins),
            Self::Blocked { children } => engine::blocked::measure(place, *children),
            Self::Heartbeat(shape) => engine::heartbeat::measure(place, shape),
            Self::Crowd(shape) => engine::crowd::measure(place, shape),
            Self::Starvation(shape) => engine::starvation::measure(place, shape),
            Self::Storm(shape) => engine::storm::measure(place, shape),
        }?;
        sample.db_bytes = place.bytes()?;
        Ok(sample)
    }
}
