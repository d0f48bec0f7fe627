//! SQLite's write-ahead log under a load and a reader that keeps its transaction open for long.
//!
//! Tells the size of the log as lines of JSON, and how long nothing was heard of runs and
//! heartbeats (`oldest_beat_ms`: a lease may not end while the log is moved). Judges in the end:
//! the log is within its bound before the reader comes, and again within seconds after it has gone.
//! Short by default; this is the proof of ten minutes:
//!
//! `CHRONO_FORGE_SOAK_LOG_SECONDS=600 CHRONO_FORGE_SOAK_LOG_MIB=64
//! CHRONO_FORGE_SOAK_LOG_TEXT_BYTES=100 cargo test --release -p chrono-forge-tests --test soak
//! the_log -- --nocapture`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono_forge::prelude::*;
use chrono_forge_tests::process::bounded_by;
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::figure;

/// Runs that are under way at once.
const IN_FLIGHT: usize = 64;

/// What each run writes twice, as its argument and as the result of its step: much, so that a short
/// test is enough.
const TEXT_BYTES: u64 = 4 << 10;

/// Between two looks at the size of the log.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A line is told for each of so many looks.
const TOLD_EVERY: usize = 20;

#[workflow]
async fn log_writer(text: String) -> Result<usize> {
    let text = step!("write", { Ok(text.clone()) }).await?;
    Ok(text.len())
}

/// What is so when, and how much of it.
#[derive(Clone, Copy)]
struct Plan {
    /// Before the reader comes, and after it has gone.
    alone: Duration,
    /// The reader stays so long, and until the log is beyond its bound.
    reader: Duration,
    bytes_max: u64,
    /// How long the log may be beyond its bound once the reader has gone.
    calm: Duration,
}

impl Plan {
    fn asked() -> Self {
        let time = Duration::from_secs(figure("LOG_SECONDS", 10));
        let reader = Duration::from_secs(figure("LOG_READER_SECONDS", time.as_secs() / 5));
        Self {
            alone: (time - reader) / 2,
            reader,
            bytes_max: figure("LOG_MIB", 16) << 20,
            calm: Duration::from_secs(figure("LOG_CALM_SECONDS", 5)),
        }
    }
}

/// One look.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    wal_bytes: u64,
    is_read: bool,
    runs: u64,
    /// How long ago the worker wrote its last heartbeat.
    beat_age: Duration,
}

impl Sample {
    fn tell(&self) {
        let Self {
            at,
            wal_bytes,
            is_read,
            runs,
            beat_age,
        } = self;
        let (at_ms, beat_age_ms) = (at.as_millis(), beat_age.as_millis());
        println!(
            r#"{{"at_ms":{at_ms},"wal_bytes":{wal_bytes},"is_read":{is_read},"runs":{runs},"beat_age_ms":{beat_age_ms}}}"#
        );
    }
}

/// What the samples come to.
#[derive(Debug)]
struct Verdict {
    most_before: u64,
    most_while_read: u64,
    /// How long after the reader had gone the log was within its bound.
    settled_after: Option<Duration>,
    most_after: u64,
    before: Quiet,
    while_read: Quiet,
    after: Quiet,
}

/// How long nothing was heard.
#[derive(Debug)]
struct Quiet {
    /// The longest span in which no run was completed.
    runs: Duration,
    /// The greatest age of a heartbeat. Between two of them it is as old as they are apart.
    beat: Duration,
}

impl Quiet {
    fn of(samples: &[Sample]) -> Self {
        let mut runs = Duration::ZERO;
        let mut last = samples[0];
        for sample in samples {
            runs = runs.max(sample.at - last.at);
            if sample.runs > last.runs {
                last = *sample;
            }
        }
        let beat = samples.iter().map(|it| it.beat_age).max();
        Self {
            runs,
            beat: beat.unwrap_or_default(),
        }
    }

    fn tell(&self, when: &str) {
        let (runs, beat) = (self.runs.as_millis(), self.beat.as_millis());
        println!(
            r#"{{"when":"{when}","longest_without_a_run_ms":{runs},"oldest_beat_ms":{beat}}}"#
        );
    }
}

fn judge(samples: &[Sample], plan: &Plan) -> Verdict {
    let came = samples.iter().position(|it| it.is_read).unwrap();
    let gone = samples.iter().rposition(|it| it.is_read).unwrap() + 1;
    let most = |of: &[Sample]| of.iter().map(|it| it.wal_bytes).max().unwrap_or(0);
    let (before, while_read, after) = (&samples[..came], &samples[came..gone], &samples[gone..]);
    let settled = after.iter().position(|it| it.wal_bytes <= plan.bytes_max);
    Verdict {
        most_before: most(before),
        most_while_read: most(while_read),
        settled_after: settled.map(|nth| after[nth].at - after[0].at),
        most_after: settled.map_or(0, |nth| most(&after[nth..])),
        before: Quiet::of(before),
        while_read: Quiet::of(while_read),
        after: Quiet::of(after),
    }
}

/// Keeps so many runs under way; counts those that are done.
async fn load(forge: Forge, done: Arc<AtomicU64>, enough: Arc<AtomicBool>) {
    let text = "x".repeat(usize::try_from(figure("LOG_TEXT_BYTES", TEXT_BYTES)).unwrap());
    let mut runs = JoinSet::new();
    for n in 0_u64.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        if runs.len() >= IN_FLIGHT {
            runs.join_next().await;
        }
        let (forge, text, done) = (forge.clone(), text.clone(), Arc::clone(&done));
        runs.spawn(async move {
            let bytes = text.len();
            let run = forge.start(&format!("r{n}"), log_writer(text)).await;
            assert_eq!(run.unwrap().result().await.unwrap(), bytes);
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    runs.join_all().await;
}

/// A transaction that reads and does not end.
fn begin_reading(file: &Path) -> Connection {
    let reader = Connection::open(file).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let count = "SELECT count(*) FROM chrono_forge_workers";
    reader.query_row(count, [], |_| Ok(())).unwrap();
    reader
}

fn beat_age(conn: &Connection) -> Duration {
    let sql = "SELECT max(heartbeat_at) FROM chrono_forge_workers";
    let beat: i64 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.saturating_sub(Duration::from_micros(beat.unsigned_abs()))
}

fn watch(file: &Path, plan: &Plan, done: &AtomicU64) -> Vec<Sample> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let look = Connection::open(file).unwrap();
    let (mut reader, mut gone) = (None, None);
    let mut samples = Vec::new();
    let begun = Instant::now();
    loop {
        let at = begun.elapsed();
        let wal_bytes = std::fs::metadata(&log).map_or(0, |log| log.len());
        if gone.is_some_and(|gone| at >= gone + plan.alone) {
            return samples;
        }
        if at >= plan.alone + plan.reader && wal_bytes > plan.bytes_max && gone.is_none() {
            (reader, gone) = (None, Some(at));
        } else if at >= plan.alone && reader.is_none() && gone.is_none() {
            reader = Some(begin_reading(file));
        }
        let sample = Sample {
            at,
            wal_bytes,
            is_read: reader.is_some(),
            runs: done.load(Ordering::Relaxed),
            beat_age: beat_age(&look),
        };
        if samples.len() % TOLD_EVERY == 0 {
            sample.tell();
        }
        samples.push(sample);
        std::thread::sleep(LOOK_EVERY);
    }
}

#[test]
fn the_log_is_within_its_bound_except_while_it_is_read_for_long() {
    let plan = Plan::asked();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.db");
    let samples = bounded_by((plan.alone + plan.reader) * 2 + crate::CALM, async {
        let forge = Forge::builder(&format!("sqlite://{}", file.display()));
        let forge = forge
            .workflows([log_writer::NAME])
            .wal_bytes_max(plan.bytes_max);
        let forge = forge.open().await.unwrap();
        let (done, enough) = (Arc::default(), Arc::default());
        let load = tokio::spawn(load(forge.clone(), Arc::clone(&done), Arc::clone(&enough)));
        let samples = tokio::task::block_in_place(|| watch(&file, &plan, &done));
        enough.store(true, Ordering::Relaxed);
        load.await.unwrap();
        forge.shutdown().await;
        samples
    });
    let verdict = judge(&samples, &plan);
    let Plan { bytes_max, .. } = plan;
    println!(
        r#"{{"bytes_max":{bytes_max},"most_before":{},"most_while_read":{},"settled_after_ms":{},"most_after":{}}}"#,
        verdict.most_before,
        verdict.most_while_read,
        verdict
            .settled_after
            .map_or(-1, |span| i128::try_from(span.as_millis()).unwrap()),
        verdict.most_after,
    );
    verdict.before.tell("before");
    verdict.while_read.tell("while_read");
    verdict.after.tell("after");
    assert!(verdict.most_before <= bytes_max, "{verdict:?}");
    assert!(
        verdict.most_while_read > bytes_max,
        "too little was written to tell: {verdict:?}"
    );
    let settled = verdict.settled_after.is_some_and(|span| span <= plan.calm);
    assert!(settled && verdict.most_after <= bytes_max, "{verdict:?}");
}
