//! The small runs, started at fixed distances whatever became of the ones before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono_forge::prelude::*;
use tokio::task::{JoinHandle, JoinSet};

/// Between two new runs of one step.
const NEWCOMERS_EVERY: Duration = Duration::from_millis(20);

/// Between two runs with ten children.
const FAMILIES_EVERY: Duration = Duration::from_millis(250);

/// Children of such a run.
const MEMBERS: u64 = 10;

/// What the bodies and their clients have timed so far.
#[derive(Default)]
pub struct Times(Mutex<Timed>);

/// From the call of `start` to the body's first line and to the result; from a branch to its merge.
#[derive(Default)]
pub struct Timed {
    pub first_lines: Vec<Duration>,
    pub results: Vec<Duration>,
    pub ten_children: Vec<Duration>,
    /// When each run was started, or its branch begun, by key.
    begun: HashMap<String, Instant>,
}

impl Times {
    /// Everything up to now; timing begins anew.
    pub fn take(&self) -> Timed {
        std::mem::take(&mut *self.lock())
    }

    /// The first time counts: a body that is replayed comes by again.
    fn begin(&self, key: &str) {
        let mut times = self.lock();
        times
            .begun
            .entry(key.to_owned())
            .or_insert_with(Instant::now);
    }

    fn first_line(&self, key: &str) {
        let now = Instant::now();
        let mut times = self.lock();
        if let Some(begun) = times.begun.remove(key) {
            times.first_lines.push(now - begun);
        }
    }

    fn merged(&self, key: &str) {
        let now = Instant::now();
        let mut times = self.lock();
        if let Some(begun) = times.begun.remove(key) {
            times.ten_children.push(now - begun);
        }
    }

    fn result(&self, took: Duration) {
        self.lock().results.push(took);
    }

    fn lock(&self) -> MutexGuard<'_, Timed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[workflow(name = "newcomer")]
pub async fn newcomer(times: State<Arc<Times>>, key: String) -> Result<u64> {
    times.first_line(&key);
    Ok(step!("one", { Ok(1) }).await?)
}

#[workflow(name = "member")]
pub async fn member(n: u64) -> Result<u64> {
    Ok(step!("double", { Ok(n * 2) }).await?)
}

#[workflow(name = "family")]
pub async fn family(times: State<Arc<Times>>, key: String) -> Result<()> {
    times.begin(&key);
    let members = branch!("members", {
        spawn_each!("member", 0..MEMBERS, |n| member(n))
    })
    .await?;
    merge!(members).await?;
    times.merged(&key);
    Ok(())
}

/// The tasks that start the small runs.
pub struct Clients {
    starters: [JoinHandle<anyhow::Result<()>>; 2],
    over: Arc<AtomicBool>,
}

impl Clients {
    /// Begins to start runs, under keys with this prefix.
    pub fn begin(forge: &Forge, times: &Arc<Times>, prefix: &'static str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let newcomers = {
            let (forge, times) = (forge.clone(), Arc::clone(times));
            every(NEWCOMERS_EVERY, &over, move |n| {
                let (forge, times) = (forge.clone(), Arc::clone(&times));
                async move { newcome(&forge, &times, format!("{prefix}{n}")).await }
            })
        };
        let families = {
            let forge = forge.clone();
            every(FAMILIES_EVERY, &over, move |n| {
                let forge = forge.clone();
                async move {
                    // Times are kept by key, whatever the workflow.
                    let key = format!("{prefix}-family{n}");
                    let run = forge.start(&key, family(key.clone())).await?;
                    Ok(run.result().await?)
                }
            })
        };
        Self {
            starters: [newcomers, families],
            over,
        }
    }

    /// Starts no more, and waits for the results of those that were started.
    pub async fn end(self) -> anyhow::Result<()> {
        self.over.store(true, Ordering::Relaxed);
        for starter in self.starters {
            starter.await??;
        }
        Ok(())
    }
}

async fn newcome(forge: &Forge, times: &Times, key: String) -> anyhow::Result<()> {
    let begun = Instant::now();
    times.begin(&key);
    let run = forge.start(&key, newcomer(key.clone())).await?;
    run.result().await?;
    times.result(begun.elapsed());
    Ok(())
}

/// Starts one client after the other without waiting for any, until it is over; then for all.
fn every<F>(
    distance: Duration,
    over: &Arc<AtomicBool>,
    start: impl Fn(u64) -> F + Send + 'static,
) -> JoinHandle<anyhow::Result<()>>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let over = Arc::clone(over);
    tokio::spawn(async move {
        let mut started = JoinSet::new();
        let mut ticks = tokio::time::interval(distance);
        for n in 0.. {
            ticks.tick().await;
            if over.load(Ordering::Relaxed) {
                break;
            }
            started.spawn(start(n));
            while let Some(done) = started.try_join_next() {
                done??;
            }
        }
        while let Some(done) = started.join_next().await {
            done??;
        }
        Ok(())
    })
}
