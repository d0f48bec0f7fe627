//! The knobs of an engine, validated together.

use std::time::Duration;

use crate::commit::BatchLimits;
use crate::error::Error;
use crate::record::keys::KeyOf;
use crate::store::CrashLimits;

/// Everything that can be set; see the builder's methods for meaning and units.
#[derive(Clone, Debug)]
pub struct Config {
    pub queues: Vec<(String, usize)>,
    pub worker: bool,
    pub worker_name: String,
    /// Whose workflows are; without it, their packages'.
    pub application: Option<String>,
    pub lease: Duration,
    pub heartbeat: Duration,
    pub poll_interval: Duration,
    pub shutdown_grace: Duration,
    pub payload_bytes_max: usize,
    pub context_bytes_max: usize,
    pub wal_bytes_max: u64,
    pub batch: BatchLimits,
    pub crashes: CrashLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queues: vec![("default".to_owned(), SLOTS)],
            worker: true,
            worker_name: "worker".to_owned(),
            application: None,
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_millis(2_500),
            poll_interval: Duration::from_secs(1),
            shutdown_grace: Duration::from_secs(30),
            payload_bytes_max: 4 << 20,
            context_bytes_max: 1 << 20,
            wal_bytes_max: 64 << 20,
            batch: BatchLimits::default(),
            crashes: CrashLimits {
                quarantine_from: 2,
                poison_at: 5,
            },
        }
    }
}

/// The slots of a queue of which nobody has said how many.
pub const SLOTS: usize = 64;

/// A shorter heartbeat costs more than it tells.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);

/// Within a lease several commits must find room, each of them within two fifths of it.
const LEASE_MIN: Duration = Duration::from_millis(100);

/// What is silent for longer is dead by any measure; and a server counts its limits, which follow the lease, in
/// milliseconds of 31 bits.
const LEASE_MAX: Duration = Duration::from_secs(30 * 86_400);

const POLL_MIN: Duration = Duration::from_millis(1);

const PAYLOAD_MIN: usize = 1_024;

/// What one entry of the context may have.
const CONTEXT_MIN: usize = 16 << 10;

/// Below this SQLite would move its log into the file all the time.
const WAL_MIN: u64 = 1 << 20;

fn refuse(knob: &'static str, problem: String) -> Result<(), Error> {
    Err(Error::Config { knob, problem })
}

/// PostgreSQL keeps no NUL, so a name with one works on no database.
fn has_nul(name: &str) -> bool {
    name.contains('\0')
}

impl Config {
    /// Refuses values and combinations that cannot work, naming the knob, the value and what is allowed.
    pub fn validate(&self) -> Result<(), Error> {
        self.validate_queues()?;
        self.validate_liveness()?;
        self.validate_sizes()
    }

    fn validate_queues(&self) -> Result<(), Error> {
        if self.worker && self.queues.is_empty() {
            return refuse("queue", "a worker without queues runs nothing; add one, or turn the worker off with .worker(false)".to_owned());
        }
        for (queue, slots) in &self.queues {
            if *slots == 0 {
                let problem = "so it would never run anything; give it at least 1, or turn the worker off with .worker(false)";
                return refuse("queue", format!("`{queue}` has 0 slots, {problem}"));
            }
            if let Some(problem) = KeyOf::Queue.problem(queue) {
                return refuse(
                    "queue",
                    format!(
                        "the name {queue:?} {problem}; use at most 512 bytes of any other text"
                    ),
                );
            }
        }
        if let Some(name) = &self.application
            && (name.is_empty() || has_nul(name))
        {
            let problem = "is empty or has a null character; use any other text";
            return refuse("application", format!("{name:?} {problem}"));
        }
        if has_nul(&self.worker_name) {
            let problem = "contains a NUL, which no database keeps; any other text is a name";
            return refuse("worker_name", format!("{:?} {problem}", self.worker_name));
        }
        Ok(())
    }

    fn validate_liveness(&self) -> Result<(), Error> {
        let (lease, heartbeat) = (self.lease, self.heartbeat);
        if heartbeat < HEARTBEAT_MIN {
            return refuse(
                "heartbeat",
                format!(
                    "{heartbeat:?} is shorter than {HEARTBEAT_MIN:?}; a heartbeat needs an interval, such as 2.5 s"
                ),
            );
        }
        if heartbeat > LEASE_MAX / 2 {
            return refuse(
                "heartbeat",
                format!(
                    "{heartbeat:?} is longer than half of the longest lease, which is {LEASE_MAX:?} (30 days)"
                ),
            );
        }
        if !(LEASE_MIN..=LEASE_MAX).contains(&lease) {
            return refuse(
                "lease",
                format!(
                    "{lease:?} is not from {LEASE_MIN:?} to {LEASE_MAX:?} (30 days); others wait that long before they go on with a dead worker's runs, the default is 10 s"
                ),
            );
        }
        if lease < heartbeat * 2 {
            return refuse(
                "lease",
                format!(
                    "{lease:?} is shorter than two heartbeats of {heartbeat:?}, so one late heartbeat would kill a healthy worker; make it at least {:?}",
                    heartbeat * 2
                ),
            );
        }
        Ok(())
    }

    fn validate_sizes(&self) -> Result<(), Error> {
        if self.poll_interval < POLL_MIN {
            return refuse(
                "poll_interval",
                format!(
                    "{:?} would spin; use at least {POLL_MIN:?}",
                    self.poll_interval
                ),
            );
        }
        if self.payload_bytes_max < PAYLOAD_MIN {
            return refuse(
                "payload_bytes_max",
                format!(
                    "{} is below {PAYLOAD_MIN} bytes; the default is 4 MiB",
                    self.payload_bytes_max
                ),
            );
        }
        if self.context_bytes_max < CONTEXT_MIN {
            return refuse(
                "context_bytes_max",
                format!(
                    "{} is below {CONTEXT_MIN} bytes, what one entry may have; the default is 1 MiB",
                    self.context_bytes_max
                ),
            );
        }
        if self.wal_bytes_max < WAL_MIN {
            return refuse(
                "wal_bytes_max",
                format!(
                    "{} is below {WAL_MIN} bytes; the default is 64 MiB",
                    self.wal_bytes_max
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

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use crate::store::sqlite::{Location, SqliteOptions};

    #[test]
    fn the_bound_of_the_log_is_that_of_the_store_unless_another_one_is_set() {
        let store = SqliteOptions::new(Location::Memory);
        assert_eq!(Config::default().wal_bytes_max, store.wal_bytes_max);
        assert_eq!(store.wal_bytes_max, 64 << 20);
    }
}
