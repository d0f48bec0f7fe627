//! What the numbers were measured on.

use std::process::Command;

use serde::Serialize;

/// Facts that numbers depend on.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub os: &'static str,
    pub cores: Option<usize>,
    pub cpu: Option<String>,
    pub rustc: Option<String>,
    pub sqlite: &'static str,
    pub debug_build: bool,
}

impl Machine {
    pub fn here() -> Self {
        Self {
            os: std::env::consts::OS,
            cores: std::thread::available_parallelism().ok().map(Into::into),
            cpu: cpu(),
            rustc: rustc(),
            sqlite: rusqlite::version(),
            debug_build: cfg!(debug_assertions),
        }
    }
}

/// Processor time of the machine so far, and how much of it the hypervisor took; Linux only.
#[derive(Clone, Copy, Debug)]
pub struct Steal {
    all: f64,
    stolen: f64,
}

impl Steal {
    pub fn now() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/stat").ok()?;
        let line = stat.lines().next()?.strip_prefix("cpu")?;
        let ticks: Vec<f64> = line
            .split_whitespace()
            .take(8)
            .flat_map(str::parse)
            .collect();
        Some(Self {
            all: ticks.iter().sum(),
            stolen: *ticks.get(7)?,
        })
    }

    /// The stolen part since then, in percent.
    pub fn percent_since(before: Option<Self>) -> Option<f64> {
        let (before, now) = (before?, Self::now()?);
        let all = now.all - before.all;
        (all > 0.0).then(|| (now.stolen - before.stolen) / all * 100.0)
    }
}

fn cpu() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| version.trim().to_owned())
}
