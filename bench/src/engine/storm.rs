//! Healthy runs, alone or while thousands of others fail, are tried again and fail again.

mod failing;

use std::sync::Arc;

use chrono_forge::Workflow;
use serde::{Deserialize, Serialize};

use super::clients::closed_loop;
use super::steps::steps;
use crate::floor;
use crate::meter::Meter;
use crate::place::Place;
use crate::quantiles::Quantiles;
use crate::sample::{self, Sample};
use crate::spread::Spread;
use failing::{FRAGILE, Kind, Storm};

/// Healthy runs before anything is measured: connections, statements and memory are warm on both sides.
const WARM_UP: u64 = 1_000;

/// Slots of the hanging runs' queue.
const FRAGILE_SLOTS: usize = 16;

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    pub healthy: u64,
    /// None: the same healthy work without the storm.
    pub failing: u64,
    pub hanging: bool,
    pub jitter: bool,
    /// For the process that measures; see [`Job::run_on`](crate::job::Job::run_on).
    pub backtraces: bool,
}

/// The healthy runs' rate and latency, with what the storm did meanwhile.
pub fn measure(place: &Place, shape: &Shape) -> anyhow::Result<Sample> {
    let mut sample = super::block_on(run(place, shape))?;
    if let Some(storm) = &mut sample.storm {
        storm.first_retries = Spread::of(floor::first_retry_delays(place)?);
    }
    Ok(sample)
}

async fn run(place: &Place, shape: &Shape) -> anyhow::Result<Sample> {
    let storm = Arc::new(Storm::new(shape.failing));
    let kind = match shape.hanging {
        true => Kind::Hanging,
        false => Kind::Failing,
    };
    let mut builder = super::builder(place, [steps::NAME, kind.workflow()])
        .state(Arc::clone(&storm))
        .queue("default", 64);
    if shape.hanging {
        builder = builder.queue(FRAGILE, FRAGILE_SLOTS);
    }
    let forge = builder.open().await?;
    closed_loop(&forge, "w", WARM_UP, |_| steps(1)).await?;
    storm.start(&forge, kind, shape.jitter).await?;
    if !shape.hanging {
        storm.attempts_of_each(1).await?;
    }
    let (commits, attempts) = (forge.commits(), storm.attempts());
    let meter = Meter::start(place)?;
    let times = closed_loop(&forge, "h", shape.healthy, |_| steps(1)).await?;
    let mut sample = super::finish(&meter, &forge, commits, shape.healthy);
    // No median: the two sides are compared by their rates.
    sample.p99_ms = Quantiles::of(times).map(|times| times.p99_ms);
    sample.storm = (shape.failing > 0).then(|| sample::Storm {
        attempts: storm.attempts() - attempts,
        first_retries: Spread::default(),
    });
    if !shape.hanging {
        storm.attempts_of_each(2).await?;
    }
    forge.shutdown().await;
    Ok(sample)
}

#[cfg(test)]
mod tests;
