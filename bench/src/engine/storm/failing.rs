//! The runs of the storm: their one dependency is dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use chrono_forge::prelude::*;

/// The hanging runs' queue.
pub const FRAGILE: &str = "fragile";

/// How many are started at the same time.
const STARTERS: u64 = 256;

/// Nothing that is waited for here takes as long on a machine that works.
const PATIENCE: Duration = secs(120);

/// How the dependency is dead.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// It refuses at once.
    Failing,
    /// It does not answer.
    Hanging,
}

impl Kind {
    pub fn workflow(self) -> &'static str {
        match self {
            Self::Failing => failing::NAME,
            Self::Hanging => hanging::NAME,
        }
    }
}

/// What the storm has done so far: attempts by run.
pub struct Storm {
    by_run: Vec<AtomicU32>,
}

impl Storm {
    pub fn new(runs: u64) -> Self {
        let by_run = (0..runs).map(|_| AtomicU32::new(0)).collect();
        Self { by_run }
    }

    fn attempt(&self, run: u64) {
        if let Some(attempts) = self.by_run.get(run as usize) {
            attempts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Attempts of all runs.
    pub fn attempts(&self) -> u64 {
        let attempts = self.by_run.iter();
        attempts.map(|n| u64::from(n.load(Ordering::Relaxed))).sum()
    }

    /// Waits until each run has had that many attempts.
    pub async fn attempts_of_each(&self, wanted: u32) -> Result<()> {
        let all = async {
            let lacks = |n: &AtomicU32| n.load(Ordering::Relaxed) < wanted;
            while self.by_run.iter().any(lacks) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, all).await;
        waited.map_err(|_| anyhow::anyhow!("some run had less than {wanted} attempts"))
    }

    /// Starts its runs, as fast as that goes.
    pub async fn start(&self, forge: &Forge, kind: Kind, jitter: bool) -> Result<()> {
        let next = Arc::new(AtomicU64::new(0));
        let runs = self.by_run.len() as u64;
        let starters: Vec<_> = (0..STARTERS.min(runs))
            .map(|_| {
                let (forge, next) = (forge.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let run = next.fetch_add(1, Ordering::Relaxed);
                        if run >= runs {
                            return anyhow::Ok(());
                        }
                        let key = format!("s{run}");
                        match kind {
                            Kind::Failing => forge.start(&key, failing(run, jitter)).await?,
                            Kind::Hanging => forge.start(&key, hanging(run, jitter)).await?,
                        };
                    }
                })
            })
            .collect();
        for starter in starters {
            starter.await??;
        }
        Ok(())
    }
}

#[workflow(name = "storm-failing")]
async fn failing(storm: State<Arc<Storm>>, run: u64, jitter: bool) -> Result<()> {
    let retry = RetryPolicy::new().unlimited().jitter(jitter);
    step!("call", retry = retry, {
        storm.attempt(run);
        Err::<(), _>(anyhow::anyhow!("connection refused"))
    })
    .await?;
    Ok(())
}

#[workflow(name = "storm-hanging", queue = "fragile")]
async fn hanging(storm: State<Arc<Storm>>, run: u64, jitter: bool) -> Result<()> {
    let retry = RetryPolicy::new().unlimited().jitter(jitter);
    step!("call", retry = retry, timeout = secs(1), {
        storm.attempt(run);
        std::future::pending::<()>().await;
        Ok(())
    })
    .await?;
    Ok(())
}
