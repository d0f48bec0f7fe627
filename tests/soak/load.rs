//! Starts runs, opens their gates, and waits for what they give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chrono_forge::{Forge, Run, RunState};
use chrono_forge_tests::soak::mixed;
use tokio::task::{JoinHandle, JoinSet};

use crate::ground::Ground;

/// Runs that are under way at once.
const IN_FLIGHT: usize = 24;

/// A run whose start was acknowledged, and what became of it.
#[derive(Debug)]
pub(crate) struct Acknowledged {
    pub(crate) key: String,
    pub(crate) seed: u64,
    /// What it gave, or how it ended otherwise.
    pub(crate) given: Result<u64, String>,
}

pub(crate) struct Load {
    enough: Arc<AtomicBool>,
    driver: JoinHandle<Vec<Acknowledged>>,
}

struct Driver {
    forge: Forge,
    out: String,
    gates: String,
    in_flight: AtomicUsize,
}

impl Load {
    pub(crate) async fn begin(ground: &Ground) -> Self {
        let driver = Driver {
            forge: ground.observer().await,
            out: Ground::text(&ground.effects()),
            gates: Ground::text(&ground.gates()),
            in_flight: AtomicUsize::new(0),
        };
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        Self {
            enough,
            driver: tokio::spawn(Arc::new(driver).drive(told)),
        }
    }

    /// Starts nothing more, and waits for what was started.
    pub(crate) async fn finish(self, time: Duration) -> Vec<Acknowledged> {
        self.enough.store(true, Ordering::Release);
        let runs = tokio::time::timeout(time, self.driver).await;
        runs.expect("runs that never end").unwrap()
    }
}

impl Driver {
    async fn drive(self: Arc<Self>, enough: Arc<AtomicBool>) -> Vec<Acknowledged> {
        let mut runs = JoinSet::new();
        let mut done = Vec::new();
        for n in 0_u64.. {
            while self.in_flight.load(Ordering::Acquire) >= IN_FLIGHT {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if enough.load(Ordering::Acquire) {
                break;
            }
            let seed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            self.in_flight.fetch_add(1, Ordering::AcqRel);
            let run = self.start(format!("r{n}"), seed).await;
            runs.spawn(Arc::clone(&self).follow(run, seed));
            while let Some(ended) = runs.try_join_next() {
                done.push(ended.unwrap());
            }
        }
        done.extend(runs.join_all().await);
        self.forge.shutdown().await;
        done
    }

    /// Asks until it is acknowledged: a lost answer and a refusal look alike from here.
    async fn start(&self, key: String, seed: u64) -> Run<u64> {
        loop {
            let run = mixed(self.out.clone(), self.gates.clone(), seed);
            match self.forge.start(&key, run).await {
                Ok(run) => return run,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn follow(self: Arc<Self>, run: Run<u64>, seed: u64) -> Acknowledged {
        let key = run.key().to_owned();
        tokio::time::sleep(Duration::from_millis(seed % 3_000)).await;
        std::fs::write(format!("{}/{key}", self.gates), "").unwrap();
        // One acknowledged wake has to be enough.
        while self.forge.wake::<mixed>(&key).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let given = loop {
            match run.result().await {
                Ok(sum) => break Ok(sum),
                Err(error) => match run.state().await {
                    Ok(RunState::Failed | RunState::Stalled | RunState::Canceled) => {
                        break Err(error.to_string());
                    }
                    // The database is away, or the run goes on.
                    _ => tokio::time::sleep(Duration::from_millis(200)).await,
                },
            }
        };
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        Acknowledged { key, seed, given }
    }
}
