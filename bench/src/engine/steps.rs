//! Runs of steps: one long, many at once, and short ones on an idle engine.

use std::time::{Duration, Instant};

use chrono_forge::prelude::*;

use crate::meter::Meter;
use crate::place::Place;
use crate::sample::Sample;

/// Between two idle starts.
const PAUSE: Duration = Duration::from_millis(3);

/// This many trivial steps, one after the other.
#[workflow(name = "steps")]
pub async fn steps(count: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..count {
        sum += step!("n{n}", { Ok(n) }).await?;
    }
    Ok(sum)
}

/// Runs at once, from the first start to the last result.
pub fn concurrent(place: &Place, runs: u64, count: u64) -> anyhow::Result<Sample> {
    super::block_on(async {
        let forge = super::builder(place, [steps::NAME]).open().await?;
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        let tasks: Vec<_> = (0..runs)
            .map(|run| {
                let forge = forge.clone();
                tokio::spawn(async move {
                    let run = forge.start(&format!("r{run}"), steps(count)).await?;
                    anyhow::Ok(run.result().await?)
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let sample = super::finish(&meter, &forge, commits, runs * count);
        forge.shutdown().await;
        Ok(sample)
    })
}

/// One-step runs on an idle engine, each from its start to its result.
pub fn latency(place: &Place, runs: u64) -> anyhow::Result<Sample> {
    super::block_on(async {
        let forge = super::builder(place, [steps::NAME]).open().await?;
        forge.start("warm-up", steps(1)).await?.result().await?;
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        let mut times = Vec::new();
        for run in 0..runs {
            tokio::time::sleep(PAUSE).await;
            let begun = Instant::now();
            let run = forge.start(&format!("r{run}"), steps(1)).await?;
            run.result().await?;
            times.push(begun.elapsed());
        }
        let sample = Sample {
            commits: Some(forge.commits() - commits),
            ..meter.stop_each(&times)
        };
        forge.shutdown().await;
        Ok(sample)
    })
}
