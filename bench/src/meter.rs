//! Time, processor time and memory of this process.

use std::time::{Duration, Instant};

#[cfg(feature = "postgres")]
use crate::floor::server::Toll;
use crate::place::Place;
use crate::sample::Sample;
use crate::stats;

/// Measures from its start.
pub struct Meter {
    begun: Instant,
    cpu_seconds: Option<f64>,
    #[cfg(feature = "postgres")]
    server: Option<(String, Toll)>,
}

impl Meter {
    /// Measures work on this database.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(
            clippy::unnecessary_wraps,
            unused_variables,
            reason = "no server to ask"
        )
    )]
    pub fn start(place: &Place) -> anyhow::Result<Self> {
        #[cfg(feature = "postgres")]
        let server = match place {
            Place::Schema(url) => Some((url.clone(), Toll::now(url)?)),
            Place::File(_) => None,
        };
        Ok(Self {
            begun: Instant::now(),
            cpu_seconds: cpu_seconds(),
            #[cfg(feature = "postgres")]
            server,
        })
    }

    /// What it took to do this many units.
    pub fn stop(&self, units: u64) -> Sample {
        let seconds = self.begun.elapsed().as_secs_f64();
        let cpu = cpu_seconds().zip(self.cpu_seconds);
        let (wal_bytes, server_cpu_seconds) = self.toll();
        Sample {
            wal_bytes,
            server_cpu_seconds,
            units,
            seconds,
            cpu_seconds: cpu.map(|(now, before)| now - before),
            rss_peak_mb: rss_peak_mb(),
            ..Sample::default()
        }
    }

    /// What the server did meanwhile, if there is one: bytes of its log, processor seconds of its sessions.
    fn toll(&self) -> (Option<u64>, Option<f64>) {
        #[cfg(feature = "postgres")]
        if let Some((url, before)) = &self.server
            && let Ok(now) = Toll::now(url)
        {
            let (wal, cpu) = now.since(*before);
            return (Some(wal), cpu);
        }
        (None, None)
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
