//! What a worker costs while there is nothing to do: the time of its process on a processor, and
//! how often it wakes up.
//!
//! Short by default, and then the figures say little; for a minute:
//!
//! `CHRONO_FORGE_SOAK_IDLE_SECONDS=60 cargo test --release -p chrono-forge-tests --test soak
//! an_idle_worker -- --nocapture`

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::process::{Ground, Victim};

use crate::figure;

/// After this nothing of the beginning is under way any more.
const SETTLED: Duration = Duration::from_secs(5);

/// Who wakes up more often looks again and again for what it could be told of. A timer of tokio's
/// wakes its thread up to three times, and each heartbeat is a dozen looks at the log.
const ALONE_WAKES_A_SECOND_MAX: u64 = 40;

/// Beside somebody else whose death is to be noticed at once.
const BESIDE_WAKES_A_SECOND_MAX: u64 = 70;

/// A worker wakes up too often if it does so in each of so many windows of time. One that polls
/// does; a neighbour on the processor disturbs some of them only.
const WINDOWS_MAX: usize = 5;

/// What a thread has used so far.
#[derive(Clone, Copy, Default)]
struct Used {
    nanos: u64,
    wakes: u64,
}

impl Used {
    /// Each thread of this process. One that ends while it is looked at is left out.
    fn by_threads(process: u32) -> HashMap<PathBuf, Self> {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let used = threads.filter_map(|thread| {
            let thread = thread.ok()?.path();
            Some((thread.clone(), Self::by_thread(&thread)?))
        });
        used.collect()
    }

    fn by_thread(thread: &Path) -> Option<Self> {
        let read = |name| std::fs::read_to_string(thread.join(name)).ok();
        let first = |text: &str| text.split_whitespace().next()?.parse().ok();
        let status = read("status")?;
        let wakes = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some(Self {
            nanos: first(&read("schedstat")?)?,
            wakes: first(wakes)?,
        })
    }

    /// By all threads of this process in so many seconds, but for those that end meanwhile: idle
    /// threads of the runtime do.
    fn within(process: u32, seconds: u64) -> Self {
        let before = Self::by_threads(process);
        std::thread::sleep(Duration::from_secs(seconds));
        let after = Self::by_threads(process);
        let of_each = after.into_iter().map(|(thread, used)| {
            let earlier = before.get(&thread).copied().unwrap_or_default();
            (used.nanos - earlier.nanos, used.wakes - earlier.wakes)
        });
        let add = |sum: Self, (nanos, wakes)| Self {
            nanos: sum.nanos + nanos,
            wakes: sum.wakes + wakes,
        };
        of_each.fold(Self::default(), add)
    }
}

/// What one of these processes costs, beside the others.
fn tell(who: &str, victim: &Victim, wakes_max: u64) {
    let seconds = figure("IDLE_SECONDS", 3);
    std::thread::sleep(SETTLED);
    let mut least = u64::MAX;
    for _ in 0..WINDOWS_MAX {
        let used = Used::within(victim.pid(), seconds);
        let (micros, wakes) = (used.nanos / 1_000, used.wakes / seconds);
        // A thousandth of a percent of a core is 10 us a second.
        let (percent, rest) = (micros / seconds / 10_000, micros / seconds / 10 % 1_000);
        println!(
            r#"{{"who":"{who}","seconds":{seconds},"cpu_us":{micros},"percent_of_a_core":{percent}.{rest:03},"wakes_a_second":{wakes}}}"#
        );
        assert!(wakes > 0, "its heartbeats are not seen");
        least = least.min(wakes);
        if least <= wakes_max {
            return;
        }
    }
    panic!("it wakes {least} times a second at least");
}

#[backends(sqlite_only = "a file is what it has to look at")]
fn an_idle_worker_sleeps(backend: Backend) {
    let ground = Ground::new(backend, env!("CARGO_BIN_EXE_victim"));
    let alone = ground.victim(&[], "");
    tell("alone", &alone, ALONE_WAKES_A_SECOND_MAX);
    let _other = ground.victim(&[], "");
    tell("beside another one", &alone, BESIDE_WAKES_A_SECOND_MAX);
}
