//! The way from the last child's end to the parent's next line.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono_forge::prelude::*;

use crate::meter::Meter;
use crate::place::Place;
use crate::sample::Sample;

/// Children of each join.
const CHILDREN: u64 = 4;

/// How long a child works: the parent has parked meanwhile.
const WORK: Duration = Duration::from_millis(20);

/// What the bodies tell the measurement.
#[derive(Default)]
pub struct Probe {
    last_child: Mutex<Option<Instant>>,
    joins: Mutex<Vec<Duration>>,
}

impl Probe {
    fn child_is_done(&self) {
        *lock(&self.last_child) = Some(Instant::now());
    }

    fn parent_runs(&self) {
        let now = Instant::now();
        if let Some(done) = lock(&self.last_child).take() {
            lock(&self.joins).push(now - done);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[workflow(name = "join-child")]
async fn child(probe: State<Arc<Probe>>, n: u64) -> Result<u64> {
    let work = step!("work", {
        tokio::time::sleep(WORK).await;
        probe.child_is_done();
        Ok(n)
    });
    Ok(work.await?)
}

#[workflow(name = "join-parent")]
async fn parent(probe: State<Arc<Probe>>) -> Result<()> {
    let all = branch!("all", { spawn_each!("child", 0..CHILDREN, |n| child(n)) }).await?;
    merge!(all).await?;
    probe.parent_runs();
    Ok(())
}

/// Joins one after the other, each from the last step body's return to the parent's next line.
pub fn measure(place: &Place, joins: u64) -> anyhow::Result<Sample> {
    super::block_on(async {
        let probe = Arc::new(Probe::default());
        let builder = super::builder(place, [parent::NAME, child::NAME]);
        let forge = builder.state(Arc::clone(&probe)).open().await?;
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        for join in 0..joins {
            let run = forge.start(&format!("p{join}"), parent()).await?;
            run.result().await?;
        }
        let sample = Sample {
            commits: Some(forge.commits() - commits),
            ..meter.stop_each(&lock(&probe.joins))
        };
        anyhow::ensure!(sample.units == joins, "{} joins were seen", sample.units);
        forge.shutdown().await;
        Ok(sample)
    })
}
