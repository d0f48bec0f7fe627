//! What has no floor: resuming a long run, the way from the last child to its parent, the heartbeat of a busy
//! engine, and the one child that keeps its parent waiting.

use anyhow::Result;

use crate::cli::{Children, Common, Heartbeat, Joins, Replay};
use crate::engine;
use crate::job::Job;
use crate::quantiles::Quantiles;
use crate::report::Report;
use crate::rounds::Rounds;

pub fn replay(common: &Common, asked: &Replay) -> Result<Report> {
    let ground = common.ground()?;
    let records = asked.records;
    let rounds = Rounds::single(common.rounds, || {
        let home = ground.home()?;
        Job::RecordHistory { records }.run_on(&home.place)?;
        Job::ResumeHistory { records }.run_on(&home.place)
    })?;
    Ok(Report::of("replay", "first new step within 50 ms", &rounds))
}

pub fn join(common: &Common, asked: &Joins) -> Result<Report> {
    let ground = common.ground()?;
    let joins = asked.joins;
    let rounds = Rounds::single(common.rounds, || Job::Join { joins }.run_in(&ground))?;
    Ok(Report::of("join-wake", "p99 <= 25 ms", &rounds))
}

pub fn heartbeat(common: &Common, asked: &Heartbeat) -> Result<Report> {
    let ground = common.ground()?;
    let shape = engine::heartbeat::Shape {
        children: asked.children,
        interval_ms: asked.interval_ms,
    };
    let rounds = Rounds::single(common.rounds, || Job::Heartbeat(shape).run_in(&ground))?;
    Ok(Report::of("heartbeat", "p99 far below the lease", &rounds)
        .with("children", shape.children)
        .with("interval_ms", shape.interval_ms))
}

pub fn blocked(common: &Common, asked: &Children) -> Result<Report> {
    let ground = common.ground()?;
    let children = asked.children;
    let rounds = Rounds::single(common.rounds, || Job::Blocked { children }.run_in(&ground))?;
    let blocked: Vec<_> = rounds.engine.iter().flat_map(|s| s.blocked).collect();
    let looks: Vec<_> = blocked.iter().map(|blocked| blocked.looks).collect();
    let report = Report::of(
        "blocked",
        "last child done to parent running <= 25 ms",
        &rounds,
    );
    let joins = rounds.engine.iter().map(|sample| sample.seconds * 1e3);
    Ok(report
        .with("children", children)
        .with("max_ms", joins.reduce(f64::max))
        .with("blocked_rows", blocked.first().map(|blocked| blocked.rows))
        .with(
            "blocked_children",
            serde_json::to_value(Quantiles::of_rounds(&looks))?,
        ))
}
