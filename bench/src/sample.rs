//! One measured part, as a child process tells it.

use serde::{Deserialize, Serialize};

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
    /// Of the whole process, since it began.
    pub rss_peak_mb: Option<f64>,
    /// The database once everything is checkpointed.
    pub db_bytes: u64,
    /// Of each unit, where single units are timed.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Of the storm's side only.
    pub storm: Option<Storm>,
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
