//! Healthy runs beside a storm of retries. The floor is the engine itself without the storm.

use anyhow::{Result, ensure};

use crate::cli::{Common, Storm};
use crate::engine::storm::Shape;
use crate::job::Job;
use crate::report::Report;
use crate::rounds::Rounds;
use crate::sample::Sample;
use crate::spread::Spread;
use crate::stats::median;

/// Failing runs of the storm whose memory the large one's is compared with.
const FEW: u64 = 1_000;

pub fn run(common: &Common, asked: &Storm) -> Result<Report> {
    let ground = common.ground()?;
    let shape = Shape {
        healthy: asked.healthy,
        failing: asked.failing,
        hanging: asked.hanging,
        jitter: !asked.no_jitter,
        backtraces: asked.backtraces,
    };
    let with = |failing| Job::Storm(Shape { failing, ..shape });
    let few = with(FEW).run_in(&ground)?;
    let rounds = Rounds::paired(&ground, common.rounds, &with(0), &with(shape.failing))?;
    let mut storms = rounds.engine.iter().flat_map(|sample| &sample.storm);
    ensure!(
        storms.all(|storm| storm.attempts > 0),
        "the healthy runs were done before anything was tried again; raise --healthy"
    );
    let spread = first_retries(&rounds.engine);
    let report = Report::of("storm", "ratio >= 0.8", &rounds);
    let growth = report.rss_peak_mb.zip(report.floor_rss_peak_mb);
    Ok(report
        .with("failing", shape.failing)
        .with("hanging", shape.hanging)
        .with("backtraces", shape.backtraces)
        .with("attempts_per_second", attempts_per_second(&rounds.engine))
        .with("rss_peak_mb_1000", few.rss_peak_mb)
        .with(
            "rss_peak_growth_mb",
            growth.map(|(with, without)| with - without),
        )
        .with("first_retry_share_max", spread.share_max())
        .with(
            "first_retry_percent_by_ms",
            serde_json::to_value(spread.percents())?,
        ))
}

/// The storm's attempts during the measured time.
fn attempts_per_second(samples: &[Sample]) -> Option<f64> {
    let rate = |sample: &Sample| Some(sample.storm.as_ref()?.attempts as f64 / sample.seconds);
    median(samples.iter().filter_map(rate))
}

/// Of all rounds together.
fn first_retries(samples: &[Sample]) -> Spread {
    let mut spread = Spread::default();
    for storm in samples.iter().filter_map(|sample| sample.storm.as_ref()) {
        spread.add(&storm.first_retries);
    }
    spread
}
