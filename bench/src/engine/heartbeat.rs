//! How late a worker renews its lease while it executes and commits as fast as it can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono_forge::Workflow;
use serde::{Deserialize, Serialize};

use super::fanout::{child, parent};
use crate::floor::heartbeats::Look;
use crate::meter::Meter;
use crate::place::Place;
use crate::sample::Sample;

/// Between two looks at the worker's row.
const LOOK: Duration = Duration::from_millis(2);

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// Of the fan-out that keeps the engine busy.
    pub children: u64,
    /// Between two heartbeats.
    pub interval_ms: u64,
}

/// From each renewal of the lease that others can see to the next, less the interval.
pub fn measure(place: &Place, shape: &Shape) -> anyhow::Result<Sample> {
    let interval = Duration::from_millis(shape.interval_ms);
    super::block_on(async {
        let builder = super::builder(place, [parent::NAME, child::NAME]);
        let forge = builder.heartbeat(interval).open().await?;
        let is_over = AtomicBool::new(false);
        let look = place.clone();
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        let (counted, renewals) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| renewals(&look, &is_over));
            let counted = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    let run = forge.start("p", parent(shape.children)).await?;
                    anyhow::Ok(run.result().await?)
                })
            });
            is_over.store(true, Ordering::Relaxed);
            (counted, watch.join())
        });
        let counted = counted?;
        anyhow::ensure!(counted == shape.children, "{counted} children");
        let renewals = renewals.ok().context("the watch panicked")??;
        let late: Vec<Duration> = renewals
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).saturating_sub(interval))
            .collect();
        let sample = Sample {
            commits: Some(forge.commits() - commits),
            ..meter.stop_each(&late)
        };
        forge.shutdown().await;
        Ok(sample)
    })
}

/// When others saw a renewal, but for the first look's.
fn renewals(place: &Place, is_over: &AtomicBool) -> anyhow::Result<Vec<Instant>> {
    let mut look = Look::at(place)?;
    let mut last = look.newest()?;
    let mut seen = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        let now = look.newest()?;
        if now != last {
            seen.push(Instant::now());
            last = now;
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_are_seen_while_the_engine_is_busy() {
        let home = tempfile::tempdir().unwrap();
        let place = Place::File(home.path().join("bench.db"));
        let shape = Shape {
            children: 3_000,
            interval_ms: 10,
        };
        let sample = measure(&place, &shape).unwrap();
        assert!(sample.units > 1, "{sample:?}");
        assert!(sample.p99_ms >= sample.p50_ms, "{sample:?}");
    }
}
