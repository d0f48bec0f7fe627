//! What a worker costs while there is nothing to do: the time of its process on a processor, and
//! how often it wakes up.
//!
//! Short by default, and then the figures say little; for a minute:
//!
//! `CHRONO_FORGE_SOAK_IDLE_SECONDS=60 cargo test --release -p chrono-forge-tests --test soak
//! an_idle_worker -- --nocapture`

use std::path::Path;
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

/// What a process has used so far.
#[derive(Clone, Copy)]
struct Used {
    nanos: u64,
    wakes: u64,
}

impl Used {
    /// By all threads of this process.
    fn by(process: u32) -> Self {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let each = threads.map(|thread| Self::by_thread(&thread.unwrap().path()));
        each.fold(Self { nanos: 0, wakes: 0 }, |sum, used| Self {
            nanos: sum.nanos + used.nanos,
            wakes: sum.wakes + used.wakes,
        })
    }

    fn by_thread(thread: &Path) -> Self {
        let read = |name| std::fs::read_to_string(thread.join(name)).unwrap();
        let first = |text: &str| text.split_whitespace().next().map(|it| it.parse().unwrap());
        let status = read("status");
        let wakes = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Self {
            nanos: first(&read("schedstat")).unwrap(),
            wakes: wakes.and_then(first).unwrap(),
        }
    }
}

/// What one of these processes costs, beside the others.
fn tell(who: &str, victim: &Victim, wakes_max: u64) {
    let seconds = figure("IDLE_SECONDS", 3);
    std::thread::sleep(SETTLED);
    let before = Used::by(victim.pid());
    std::thread::sleep(Duration::from_secs(seconds));
    let after = Used::by(victim.pid());
    let micros = (after.nanos - before.nanos) / 1_000;
    let wakes = (after.wakes - before.wakes) / seconds;
    // A thousandth of a percent of a core is 10 us a second.
    let (percent, rest) = (micros / seconds / 10_000, micros / seconds / 10 % 1_000);
    println!(
        r#"{{"who":"{who}","seconds":{seconds},"cpu_us":{micros},"percent_of_a_core":{percent}.{rest:03},"wakes_a_second":{wakes}}}"#
    );
    assert!(wakes <= wakes_max, "it wakes {wakes} times a second");
}

#[backends(sqlite_only = "a file is what it has to look at")]
fn an_idle_worker_sleeps(backend: Backend) {
    let ground = Ground::new(backend, env!("CARGO_BIN_EXE_victim"));
    let alone = ground.victim(&[], "");
    tell("alone", &alone, ALONE_WAKES_A_SECOND_MAX);
    let _other = ground.victim(&[], "");
    tell("beside another one", &alone, BESIDE_WAKES_A_SECOND_MAX);
}
