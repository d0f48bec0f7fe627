//! What has no floor: resuming a long run, and the way from the last child to its parent.

use anyhow::Result;

use crate::cli::{Common, Joins, Replay};
use crate::job::Job;
use crate::report::Report;
use crate::rounds::Rounds;

pub fn replay(common: &Common, asked: &Replay) -> Result<Report> {
    let dir = common.dir()?;
    let records = asked.records;
    let rounds = Rounds::single(common.rounds, || {
        let home = tempfile::Builder::new().prefix("bench-").tempdir_in(&dir)?;
        let path = home.path().join("bench.db");
        Job::RecordHistory { records }.run_on(&path)?;
        Job::ResumeHistory { records }.run_on(&path)
    })?;
    Ok(Report::of("replay", "first new step within 50 ms", &rounds))
}

pub fn join(common: &Common, asked: &Joins) -> Result<Report> {
    let dir = common.dir()?;
    let joins = asked.joins;
    let rounds = Rounds::single(common.rounds, || Job::Join { joins }.run_in(&dir))?;
    Ok(Report::of("join-wake", "p99 <= 25 ms", &rounds))
}
