//! Steps in sequence, steps of many runs, and the latency of one.

use anyhow::Result;

use crate::cli::{Common, Concurrent, Latency, Sequential};
use crate::job::Job;
#[cfg(feature = "postgres")]
use crate::place::Ground;
use crate::report::Report;
use crate::rounds::Rounds;
#[cfg(feature = "postgres")]
use crate::wire::Wire;

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
    #[cfg(feature = "postgres")]
    if let Ground::Server(url) = common.ground()? {
        let report = Report::of(
            "latency",
            "p50 at most 1.7 x two round trips: ratio >= 0.588; at most 5 round trips",
            &rounds,
        );
        return Ok(report.with("round_trips_per_unit", round_trips(&url, runs)?));
    }
    Ok(Report::of(
        "latency",
        "p50 at most 1.5 x two bare commits: ratio >= 0.667",
        &rounds,
    ))
}

/// Of each run, on all connections: what two counts of runs differ by, so that it leaves out what opening and
/// closing an engine takes.
#[cfg(feature = "postgres")]
fn round_trips(url: &str, runs: u64) -> Result<f64> {
    let wire = Wire::before(url)?;
    let ground = Ground::Server(wire.url().to_owned());
    let count = |runs| {
        let before = wire.trips();
        Job::LatencyEngine { runs }.run_in(&ground)?;
        anyhow::Ok(wire.trips() - before)
    };
    let (few, many) = (count(runs)?, count(runs * 3)?);
    Ok(many.saturating_sub(few) as f64 / (runs * 2) as f64)
}

fn pair(common: &Common, floor: Job, engine: Job) -> Result<Rounds> {
    Rounds::paired(&common.ground()?, common.rounds, &floor, &engine)
}
