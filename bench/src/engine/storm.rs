//! Healthy runs, alone or while thousands of others fail, are tried again and fail again.

mod failing;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono_forge::{Forge, Workflow};
use serde::{Deserialize, Serialize};

use super::steps::steps;
use crate::floor;
use crate::meter::Meter;
use crate::sample::{self, Sample};
use crate::spread::Spread;
use crate::stats;
use failing::{FRAGILE, Kind, Storm};

/// Clients that each start a run and wait for its result before they start the next.
const CLIENTS: u64 = 64;

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
pub fn measure(path: &Path, shape: &Shape) -> anyhow::Result<Sample> {
    let mut sample = super::block_on(run(path, shape))?;
    if let Some(storm) = &mut sample.storm {
        storm.first_retries = Spread::of(floor::first_retry_delays(path)?);
    }
    Ok(sample)
}

async fn run(path: &Path, shape: &Shape) -> anyhow::Result<Sample> {
    let storm = Arc::new(Storm::new(shape.failing));
    let kind = match shape.hanging {
        true => Kind::Hanging,
        false => Kind::Failing,
    };
    let mut builder = super::builder(path, [steps::NAME, kind.workflow()])
        .state(Arc::clone(&storm))
        .queue("default", 64);
    if shape.hanging {
        builder = builder.queue(FRAGILE, FRAGILE_SLOTS);
    }
    let forge = builder.open().await?;
    closed_loop(&forge, "w", WARM_UP).await?;
    storm.start(&forge, kind, shape.jitter).await?;
    if !shape.hanging {
        storm.attempts_of_each(1).await?;
    }
    let (commits, attempts) = (forge.commits(), storm.attempts());
    let meter = Meter::start();
    let times = closed_loop(&forge, "h", shape.healthy).await?;
    let mut sample = super::finish(&meter, &forge, commits, shape.healthy);
    // No median: the two sides are compared by their rates.
    sample.p99_ms = p99_ms(&times);
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

fn p99_ms(times: &[Duration]) -> Option<f64> {
    let mut millis: Vec<f64> = times.iter().map(|t| t.as_secs_f64() * 1e3).collect();
    stats::quantile(&mut millis, 0.99)
}

/// One-step runs of all clients together; answers how long each took from its start to its result.
async fn closed_loop(
    forge: &Forge,
    name: &'static str,
    runs: u64,
) -> anyhow::Result<Vec<Duration>> {
    let next = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (forge, next) = (forge.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs {
                        return anyhow::Ok(times);
                    }
                    let begun = Instant::now();
                    let run = forge.start(&format!("{name}{run}"), steps(1)).await?;
                    run.result().await?;
                    times.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await??);
    }
    Ok(times)
}

#[cfg(test)]
mod tests;
