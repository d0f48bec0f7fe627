//! Steps in sequence, steps of many runs, and the latency of one.

use anyhow::Result;

use crate::cli::{Common, Concurrent, Latency, Sequential};
use crate::job::Job;
use crate::report::Report;
use crate::rounds::Rounds;

pub fn sequential(common: &Common, asked: &Sequential) -> Result<Report> {
    let (runs, steps) = (1, asked.steps);
    let rounds = pair(
        common,
        Job::StepsFloor { runs, steps },
        Job::StepsEngine { runs, steps },
    )?;
    let report = Report::of(
        "sequential",
        "at most 1.5 x a bare commit: ratio >= 0.667",
        &rounds,
    );
    let us = report.per_second.map(|rate| 1e6 / rate);
    let floor_us = report.floor_per_second.map(|rate| 1e6 / rate);
    Ok(report
        .with("us_per_step", us)
        .with("floor_us_per_step", floor_us))
}

pub fn concurrent(common: &Common, asked: &Concurrent) -> Result<Report> {
    let (runs, steps) = (asked.runs, asked.steps);
    let rounds = pair(
        common,
        Job::StepsFloor { runs, steps },
        Job::StepsEngine { runs, steps },
    )?;
    Ok(Report::of("concurrent", "ratio >= 0.4", &rounds))
}

pub fn latency(common: &Common, asked: &Latency) -> Result<Report> {
    let runs = asked.runs;
    let rounds = pair(
        common,
        Job::LatencyFloor { runs },
        Job::LatencyEngine { runs },
    )?;
    Ok(Report::of(
        "latency",
        "p50 at most 1.5 x two bare commits: ratio >= 0.667",
        &rounds,
    ))
}

fn pair(common: &Common, floor: Job, engine: Job) -> Result<Rounds> {
    Rounds::paired(&common.dir()?, common.rounds, &floor, &engine)
}
