//! What each workload takes beside the common options. Without groups, whose names would be those of the
//! subcommands.

use clap::Args;

#[derive(Debug, Args)]
#[group(skip)]
pub struct Children {
    /// Children of the parent
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub children: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Fanout {
    /// Children of the parent
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub children: u64,
    /// Children per transaction of the floor
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub batch: u64,
    /// Connections that write at the same time, on a server: of the floor and of the engine
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub writers: u64,
    /// Worker processes of the engine, on a server
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub processes: u32,
    /// Slots of the engine's queue [default: the engine's]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub slots: Option<u64>,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Sequential {
    /// Steps of the run
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Concurrent {
    /// Runs at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Steps of each
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Replay {
    /// Recorded steps before the new one
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub records: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Latency {
    /// Runs, one after the other
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Heartbeat {
    /// Children of the fan-out that keeps the engine busy
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub children: u64,
    /// Between two heartbeats; the engine's default is 2,500
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub interval_ms: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Joins {
    /// Joins, one after the other
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub joins: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Crowd {
    /// Runs that no claim should notice [default: a million sleepers, or 500,000 unclaimable ones]
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..))]
    pub crowd: Option<u64>,
    /// Runs of 64 clients meanwhile, each with a short wait and a step
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Starvation {
    /// Children of the fan-out
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub children: u64,
    /// How long the small runs come to the idle engine first, in milliseconds
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub idle_ms: u64,
}

#[derive(Debug, Args)]
#[group(skip)]
pub struct Storm {
    /// One-step runs of 64 clients, each started once the client's last one has its result
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub healthy: u64,
    /// Runs whose step fails meanwhile, again and again
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub failing: u64,
    /// Their step hangs until its timeout of 1 s, in a queue of its own with 16 slots
    #[arg(long)]
    pub hanging: bool,
    /// Their delays are not spread, for comparison
    #[arg(long)]
    pub no_jitter: bool,
    /// Each failure captures a backtrace, as with `RUST_BACKTRACE=1`
    #[arg(long)]
    pub backtraces: bool,
}
