//! What a workload tells: a table for people, one JSON object for programs.

pub mod markdown;
mod table;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::machine::Machine;
use crate::rounds::Rounds;
use crate::sample::Sample;
use crate::stats::median;

/// The numbers of one workload: medians over its rounds, null where there is none.
#[derive(Debug, Serialize)]
pub struct Report {
    pub workload: &'static str,
    pub store: &'static str,
    /// What a commit survives on SQLite: `full` is a power cut, `normal` the end of the process.
    pub synchronous: Option<&'static str>,
    /// The level of the engine's log, where there is one.
    pub log: Option<String>,
    /// Units of one round.
    pub n: u64,
    pub rounds: usize,
    pub seconds: Option<f64>,
    pub per_second: Option<f64>,
    pub floor_per_second: Option<f64>,
    /// Engine speed over floor speed: 1 is as fast as bare SQL.
    pub ratio: Option<f64>,
    pub ratio_min: Option<f64>,
    pub ratio_max: Option<f64>,
    pub goal: &'static str,
    pub commits: Option<f64>,
    pub commits_per_unit: Option<f64>,
    pub cpu_us_per_unit: Option<f64>,
    pub floor_cpu_us_per_unit: Option<f64>,
    /// Of the server's sessions, beside the process.
    pub server_cpu_us_per_unit: Option<f64>,
    pub floor_server_cpu_us_per_unit: Option<f64>,
    pub wal_bytes_per_unit: Option<f64>,
    pub floor_wal_bytes_per_unit: Option<f64>,
    pub rss_peak_mb: Option<f64>,
    pub floor_rss_peak_mb: Option<f64>,
    pub db_mb: Option<f64>,
    pub db_bytes_per_unit: Option<f64>,
    pub floor_db_bytes_per_unit: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub floor_p50_ms: Option<f64>,
    pub floor_p99_ms: Option<f64>,
    /// Processor time that the hypervisor gave to others meanwhile.
    pub steal_percent: Option<f64>,
    /// What only this workload tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
    pub machine: Machine,
}

impl Report {
    /// The medians of these rounds.
    pub fn of(workload: &'static str, goal: &'static str, rounds: &Rounds) -> Self {
        let ratios = rounds.ratios();
        let engine = |value: fn(&Sample) -> Option<f64>| of_side(&rounds.engine, value);
        let floor = |value: fn(&Sample) -> Option<f64>| of_side(&rounds.floor, value);
        Self {
            workload,
            store: "sqlite",
            synchronous: None,
            log: None,
            n: rounds.engine.first().map_or(0, |sample| sample.units),
            rounds: rounds.engine.len(),
            seconds: engine(|s| Some(s.seconds)),
            per_second: engine(|s| Some(s.per_second())),
            floor_per_second: floor(|s| Some(s.per_second())),
            ratio: median(ratios.iter().copied()),
            ratio_min: ratios.iter().copied().reduce(f64::min),
            ratio_max: ratios.iter().copied().reduce(f64::max),
            goal,
            commits: engine(|s| Some(s.commits? as f64)),
            commits_per_unit: engine(|s| Some(s.commits? as f64 / s.units as f64)),
            cpu_us_per_unit: engine(cpu_us_per_unit),
            floor_cpu_us_per_unit: floor(cpu_us_per_unit),
            server_cpu_us_per_unit: engine(server_cpu_us_per_unit),
            floor_server_cpu_us_per_unit: floor(server_cpu_us_per_unit),
            wal_bytes_per_unit: engine(wal_bytes_per_unit),
            floor_wal_bytes_per_unit: floor(wal_bytes_per_unit),
            rss_peak_mb: engine(|s| s.rss_peak_mb),
            floor_rss_peak_mb: floor(|s| s.rss_peak_mb),
            db_mb: engine(|s| Some(s.db_bytes as f64 / 1e6)),
            db_bytes_per_unit: engine(db_bytes_per_unit),
            floor_db_bytes_per_unit: floor(db_bytes_per_unit),
            p50_ms: engine(|s| s.p50_ms),
            p99_ms: engine(|s| s.p99_ms),
            floor_p50_ms: floor(|s| s.p50_ms),
            floor_p99_ms: floor(|s| s.p99_ms),
            steal_percent: rounds.steal_percent,
            extra: Map::new(),
            machine: Machine::here(),
        }
    }

    /// Measured on this store.
    pub fn on(mut self, store: &'static str) -> Self {
        self.store = store;
        self
    }

    /// Where a commit survives this, by `--synchronous`.
    pub fn committing(mut self, synchronous: Option<&'static str>) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// With the engine's log at this level, by `--log`.
    pub fn logging(mut self, level: Option<String>) -> Self {
        self.log = level;
        self
    }

    /// Adds what only this workload tells.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// Prints the table and, if asked, the object as the last line.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        print!("{}", table::of(self));
        if json {
            println!("{}", serde_json::to_string(self)?);
        }
        Ok(())
    }
}

fn of_side(samples: &[Sample], value: fn(&Sample) -> Option<f64>) -> Option<f64> {
    median(samples.iter().filter_map(value))
}

fn cpu_us_per_unit(sample: &Sample) -> Option<f64> {
    Some(sample.cpu_seconds? * 1e6 / sample.units as f64)
}

fn server_cpu_us_per_unit(sample: &Sample) -> Option<f64> {
    Some(sample.server_cpu_seconds? * 1e6 / sample.units as f64)
}

fn wal_bytes_per_unit(sample: &Sample) -> Option<f64> {
    Some(sample.wal_bytes? as f64 / sample.units as f64)
}

fn db_bytes_per_unit(sample: &Sample) -> Option<f64> {
    Some(sample.db_bytes as f64 / sample.units as f64)
}

#[cfg(test)]
mod tests;
