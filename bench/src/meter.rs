//! Time, processor time and memory of this process.

use std::time::{Duration, Instant};

use crate::sample::Sample;
use crate::stats;

/// Measures from its start.
pub struct Meter {
    begun: Instant,
    cpu_seconds: Option<f64>,
}

impl Meter {
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            cpu_seconds: cpu_seconds(),
        }
    }

    /// What it took to do this many units.
    pub fn stop(&self, units: u64) -> Sample {
        let seconds = self.begun.elapsed().as_secs_f64();
        let cpu = cpu_seconds().zip(self.cpu_seconds);
        Sample {
            units,
            seconds,
            cpu_seconds: cpu.map(|(now, before)| now - before),
            rss_peak_mb: rss_peak_mb(),
            ..Sample::default()
        }
    }

    /// As [`Meter::stop`], for units that were timed one by one.
    pub fn stop_each(&self, times: &[Duration]) -> Sample {
        let mut millis: Vec<f64> = times.iter().map(|t| t.as_secs_f64() * 1e3).collect();
        Sample {
            seconds: times.iter().map(Duration::as_secs_f64).sum(),
            p50_ms: stats::quantile(&mut millis, 0.5),
            p99_ms: stats::quantile(&mut millis, 0.99),
            ..self.stop(times.len() as u64)
        }
    }
}

#[cfg(target_os = "linux")]
#[allow(clippy::unnecessary_wraps, reason = "other systems have no answer")]
fn cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

#[cfg(not(target_os = "linux"))]
fn cpu_seconds() -> Option<f64> {
    None
}

/// Resident memory at its peak; Linux only.
fn rss_peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}
