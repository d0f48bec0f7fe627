//! The knobs of an engine, validated together.

use std::time::Duration;

use crate::commit::BatchLimits;
use crate::error::Error;
use crate::store::CrashLimits;

/// Everything that can be set; see the builder's methods for meaning and units.
#[derive(Clone, Debug)]
pub struct Config {
    pub queues: Vec<(String, usize)>,
    pub worker: bool,
    pub worker_name: String,
    pub lease: Duration,
    pub heartbeat: Duration,
    pub poll_interval: Duration,
    pub shutdown_grace: Duration,
    pub payload_bytes_max: usize,
    pub batch: BatchLimits,
    pub crashes: CrashLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queues: vec![("default".to_owned(), 64)],
            worker: true,
            worker_name: "worker".to_owned(),
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_millis(2_500),
            poll_interval: Duration::from_secs(1),
            shutdown_grace: Duration::from_secs(30),
            payload_bytes_max: 4 << 20,
            batch: BatchLimits::default(),
            crashes: CrashLimits {
                quarantine_from: 2,
                poison_at: 5,
            },
        }
    }
}

impl Config {
    /// Refuses combinations that cannot work, naming the knob and the remedy.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |knob, problem: String| Err(Error::Config { knob, problem });
        if let Some((queue, _)) = self.queues.iter().find(|(_, slots)| *slots == 0) {
            return refuse(
                "queue",
                format!(
                    "`{queue}` has 0 slots, so it would never run anything; give it at least 1, or turn the worker off with .worker(false)"
                ),
            );
        }
        if self.worker && self.queues.is_empty() {
            return refuse("queue", "a worker without queues runs nothing; add one, or turn the worker off with .worker(false)".to_owned());
        }
        if let Some((queue, _)) = self.queues.iter().find(|(queue, _)| queue.is_empty()) {
            return refuse("queue", format!("{queue:?} is no name; name the queue"));
        }
        if self.heartbeat.is_zero() {
            return refuse(
                "heartbeat",
                "is zero; a heartbeat needs an interval, such as 2.5 s".to_owned(),
            );
        }
        if self.lease < self.heartbeat * 2 {
            let (lease, heartbeat) = (self.lease, self.heartbeat);
            return refuse(
                "lease",
                format!(
                    "{lease:?} is shorter than two heartbeats of {heartbeat:?}, so one late heartbeat would kill a healthy worker; make it at least {:?}",
                    heartbeat * 2
                ),
            );
        }
        if self.poll_interval.is_zero() {
            return refuse(
                "poll_interval",
                "is zero, which would spin; use at least 1 ms".to_owned(),
            );
        }
        if self.payload_bytes_max < 1_024 {
            return refuse(
                "payload_bytes_max",
                format!(
                    "{} is below 1024 bytes; the default is 4 MiB",
                    self.payload_bytes_max
                ),
            );
        }
        if self.batch.plans_max == 0 {
            return refuse(
                "commit_batch_max",
                "is zero; 1 commits each write alone, the default is 1000".to_owned(),
            );
        }
        Ok(())
    }
}
