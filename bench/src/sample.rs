//! One measured part, as a child process tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::floor::crowd::Cost;
use crate::quantiles::Quantiles;
use crate::spread::Spread;

/// What one side did once, in a process and on a database of its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Children, steps, runs: what a rate counts.
    pub units: u64,
    pub seconds: f64,
    pub commits: Option<u64>,
    /// Of the whole process, during the measured time.
    pub cpu_seconds: Option<f64>,
    /// Of the server's sessions of this round, during the measured time.
    #[serde(default)]
    pub server_cpu_seconds: Option<f64>,
    /// Written to the server's write-ahead log during the measured time, by whomever.
    #[serde(default)]
    pub wal_bytes: Option<u64>,
    /// Of the whole process, since it began.
    pub rss_peak_mb: Option<f64>,
    /// The database once everything is checkpointed.
    pub db_bytes: u64,
    /// Of each unit, where single units are timed.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// What was timed one by one on an idle engine and on a busy one, by name.
    #[serde(default)]
    pub timed: BTreeMap<String, Timed>,
    /// Of the workload `blocked` only.
    pub blocked: Option<Blocked>,
    /// Of workloads beside a crowd only.
    pub crowd: Option<Crowd>,
    /// Of the storm's side only.
    pub storm: Option<Storm>,
}

/// The same work on an idle engine and beside other work, in one process.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Timed {
    pub idle: Quantiles,
    pub busy: Quantiles,
}

/// How an operator finds the children that keep a run waiting.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Blocked {
    /// Children that each look named.
    pub rows: u64,
    pub looks: Quantiles,
}

/// How runs fared beside a crowd.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crowd {
    /// From start to result.
    pub result: Quantiles,
    /// On SQLite, whose steps can be counted.
    pub costs: Option<Costs>,
}

/// What claims cost a worker that serves one workflow in one queue, those of the crowd, and 50 in 4 queues.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Costs {
    pub narrow: Cost,
    pub cost: Cost,
    pub wide: Cost,
}

/// What the failing runs did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Storm {
    /// During the measured time.
    pub attempts: u64,
    /// How long after its first attempt each run had its second one.
    pub first_retries: Spread,
}

impl Sample {
    /// Units per second.
    pub fn per_second(&self) -> f64 {
        self.units as f64 / self.seconds
    }
}
