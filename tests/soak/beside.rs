//! Small runs beside what is large, many, long or locked: how long each takes from its start to its
//! result.
//!
//! Judges that they come to their ends while the other thing goes on, and tells how long they took,
//! as lines of JSON. Short by default; this is the size that counts:
//!
//! `CHRONO_FORGE_SOAK_BESIDE_PERCENT=100 cargo test --release -p chrono-forge-tests --features postgres --test soak
//! beside -- --nocapture --test-threads 1`

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono_forge::prelude::*;
use chrono_forge::{Builder, Forge};
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::crash::scratch;
use chrono_forge_tests::database::Database;
use chrono_forge_tests::process::bounded_by;
use futures::future::join_all;

use crate::figure;

/// Longer than any of this takes at its full size.
const HANGS: Duration = Duration::from_secs(600);

/// Between two small runs.
const PACE: Duration = Duration::from_millis(20);

/// Small runs that are measured at least.
const SMALL: usize = 25;

/// What long runs wait for.
#[derive(Clone, Default)]
struct Gate(Arc<AtomicBool>);

impl Gate {
    fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    async fn opened(&self) {
        while !self.0.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[workflow]
async fn small(n: u64) -> Result<u64> {
    Ok(step!("add", { Ok(n + 1) }).await?)
}

#[workflow]
async fn long(gate: State<Gate>) -> Result<()> {
    step!("long", {
        gate.opened().await;
        Ok(())
    })
    .await?;
    Ok(())
}

#[workflow]
async fn heavy(text: String) -> Result<usize> {
    Ok(text.len())
}

#[workflow]
async fn fans_heavily(children: u64) -> Result<usize> {
    let children = branch!("b", automerge = true, {
        spawn_each!("c", 0..children, |n| heavy(
            format!("{n:<300}").repeat(1_000)
        ))
    });
    Ok(children.await?.len())
}

/// So much of the full size, and at least one.
fn scaled(full: u64) -> u64 {
    (full * figure("BESIDE_PERCENT", 2) / 100).max(1)
}

struct Ground {
    database: Database,
    gate: Gate,
}

impl Ground {
    fn new(backend: Backend) -> Self {
        Self {
            database: Database::new(backend, scratch(), 2),
            gate: Gate::default(),
        }
    }

    fn builder(&self) -> Builder {
        let names = [small::NAME, long::NAME, heavy::NAME, fans_heavily::NAME];
        let builder = Forge::builder(&self.database.url()).workflows(names);
        builder.state(self.gate.clone())
    }

    async fn open(&self) -> Forge {
        self.builder().open().await.unwrap()
    }
}

/// Starts small runs one after the other for as long as the other thing goes on; tells how long
/// they took.
async fn measure<T>(what: &str, forge: &Forge, other: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let mut spans = Vec::new();
    let runs = async {
        for n in 0.. {
            let begun = Instant::now();
            let run = forge.start(&format!("small{n}"), small(n)).await.unwrap();
            assert_eq!(run.result().await.unwrap(), n + 1);
            spans.push(begun.elapsed());
            tokio::time::sleep(PACE).await;
        }
    };
    let value = tokio::select! {
        value = other => value,
        () = runs => unreachable!("there is always one more"),
    };
    let took = begun.elapsed();
    spans.sort_unstable();
    let at = |part: usize| spans[(spans.len() - 1) * part / 100].as_millis();
    println!(
        "{{\"beside\":\"{what}\",\"seconds\":{:.1},\"small\":{},\"p50_ms\":{},\"p99_ms\":{},\"max_ms\":{}}}",
        took.as_secs_f64(),
        spans.len(),
        at(50),
        at(99),
        at(100)
    );
    value
}

/// So many small runs by themselves, at least: however soon the other thing is over.
async fn enough() {
    tokio::time::sleep(PACE * 2 * SMALL as u32).await;
}

#[backends]
fn small_runs_end_beside_a_fan_out_of_much(backend: Backend) {
    bounded_by(HANGS, async {
        let ground = Ground::new(backend);
        let forge = ground.open().await;
        let children = scaled(1_000);
        let fan_out = async {
            let run = forge.start("fans", fans_heavily(children)).await.unwrap();
            let (ended, ()) = tokio::join!(run.result(), enough());
            ended.unwrap()
        };
        let what = format!("{backend:?} fan-out of {children} x 300 kB");
        assert_eq!(measure(&what, &forge, fan_out).await as u64, children);
    });
}

#[backends]
fn small_runs_end_beside_many_wakes(backend: Backend) {
    bounded_by(HANGS, async {
        let ground = Ground::new(backend);
        let forge = ground.open().await;
        let run = forge.start("long", long()).await.unwrap();
        let wakes = scaled(10_000);
        let woken = async {
            let all = (0..wakes).map(|_| forge.wake::<long>("long"));
            let (all, ()) = tokio::join!(join_all(all), enough());
            all.into_iter().for_each(|woken| woken.unwrap());
        };
        measure(&format!("{backend:?} {wakes} wakes"), &forge, woken).await;
        ground.gate.open();
        run.result().await.unwrap();
    });
}

#[backends]
fn small_runs_end_beside_a_locked_one(backend: Backend) {
    bounded_by(HANGS, async {
        let ground = Ground::new(backend);
        let forge = ground.open().await;
        let run = forge.start("long", long()).await.unwrap();
        let lock = ground
            .database
            .hold_rows("chrono_forge_workflows", "key = 'long'");
        ground.gate.open();
        let time = Duration::from_millis(100 * scaled(100)).max(PACE * SMALL as u32);
        let asked = async {
            let wakes = (0..5).map(|_| forge.wake::<long>("long"));
            // A file has no locks of rows, and on a server they are refused in the end.
            tokio::join!(tokio::time::sleep(time), join_all(wakes));
        };
        measure(&format!("{backend:?} a locked run"), &forge, asked).await;
        drop(lock);
        run.result().await.unwrap();
    });
}

/// All slots of one worker are taken by long runs before the short ones come; another worker has
/// nothing to do.
#[backends]
fn small_runs_end_beside_long_ones_before_many_short_ones(backend: Backend) {
    bounded_by(HANGS, async {
        let ground = Ground::new(backend);
        let first = ground.open().await;
        let slots = 64;
        let held = (0..slots).map(|n| {
            let first = &first;
            async move { first.start(&format!("long{n}"), long()).await.unwrap() }
        });
        let held = join_all(held).await;
        let second = ground.open().await;
        let count = scaled(8_000);
        let short = (0..count).map(|n| {
            let first = &first;
            async move {
                let run = first.start(&format!("short{n}"), small(n)).await.unwrap();
                run.result().await.unwrap();
            }
        });
        let short = async { tokio::join!(join_all(short), enough()) };
        let what = format!("{backend:?} {slots} long before {count} short");
        measure(&what, &second, short).await;
        // And with the long ones alone.
        measure(&format!("{backend:?} {slots} long"), &first, enough()).await;
        ground.gate.open();
        for run in held {
            run.result().await.unwrap();
        }
    });
}
