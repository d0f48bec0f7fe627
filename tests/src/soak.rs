//! The mixed load of a soak: workflows whose effects leave a token in a file and in their record, so that the two
//! can be compared whatever happened to the processes in between.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono_forge::jiff::{SignedDuration, Timestamp};
use chrono_forge::prelude::*;
use chrono_forge::{Clock, OnError};

/// One line of the file: an effect that a process began or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Who did it.
    pub pid: u32,
    /// When, in microseconds since 1970.
    pub at: u64,
    /// Ended, or only begun.
    pub ended: bool,
    /// The run's key.
    pub run: String,
    /// The step's key.
    pub step: String,
    /// What the step's record holds if this is the execution that counts.
    pub token: String,
}

/// What was done so far, in the order in which it was written. A last line that a full disk cut short is left out.
#[must_use]
pub fn traces(out: &Path) -> Vec<Trace> {
    let text = std::fs::read_to_string(out).unwrap_or_default();
    let trace = |line: &str| -> Option<Trace> {
        let mut words = line.split(' ');
        Some(Trace {
            pid: words.next()?.parse().ok()?,
            at: words.next()?.parse().ok()?,
            ended: words.next()? == "end",
            run: words.next()?.to_owned(),
            step: words.next()?.to_owned(),
            token: words.next()?.to_owned(),
        })
    };
    text.lines().filter_map(trace).collect()
}

/// Lines of one process never interleave with those of another: each is one appending write.
fn tell(out: &str, edge: &str, run: &str, step: &str, token: &str) -> Result<()> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let line = format!("{} {at} {edge} {run} {step} {token}\n", std::process::id());
    let mut file = OpenOptions::new().create(true).append(true).open(out)?;
    Ok(file.write_all(line.as_bytes())?)
}

/// An effect; gives its token. One in so many executions fails.
async fn effect(out: &str, run: &str, step: &str, millis: u64, fails: u64) -> Result<String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let token = format!("{}.{next}", std::process::id());
    tell(out, "begin", run, step, &token)?;
    tokio::time::sleep(Duration::from_millis(millis)).await;
    anyhow::ensure!(
        fails == 0 || !next.is_multiple_of(fails),
        "this execution fails"
    );
    tell(out, "end", run, step, &token)?;
    Ok(token)
}

/// Tries again for as long as it takes: what fails here fails by plan, or while the disk is full.
const PATIENT: RetryPolicy = RetryPolicy::new()
    .unlimited()
    .base(Duration::from_millis(20))
    .cap(Duration::from_millis(500));

/// What a run of this seed has to give: how many of its own operations and of its children's gave something.
#[must_use]
pub const fn expected(seed: u64) -> u64 {
    // Three steps, the join, the step behind the gate, two ticks.
    3 + 1 + 1 + 2 + 2 * children(seed)
}

const fn children(seed: u64) -> u64 {
    1 + seed % 17
}

/// Steps, a wait, a branch whose block has a step and fails now and then, a join that may lose a race first, a branch
/// that may be given up, a gate that somebody opens, and a repeat.
#[workflow(name = "soak_mixed", retry = PATIENT)]
pub async fn mixed(cx: Context, out: String, gates: String, seed: u64) -> Result<u64> {
    let run = cx.key().to_owned();
    let mut sum = 0;
    for n in 0..3 {
        let key = format!("s{n}");
        step!("s{n}", effect(&out, &run, &key, seed % 23, 11)).await?;
        sum += 1;
    }
    wait!("pause", Duration::from_millis(seed % 700)).await;
    let all = branch!("all", {
        step!("inside", effect(&out, &run, "inside", 3, 5)).await?;
        spawn_each!("child", of = 5, 0..children(seed), |n| leaf(
            out.clone(),
            seed + n
        ))
    })
    .await?;
    let mut joined = merge!(all);
    let early = tokio::select! {
        biased;
        children = &mut joined => Some(children?),
        () = wait!("patience", Duration::from_millis(seed % 900)) => None,
    };
    let all = match early {
        Some(all) => all,
        None => joined.await?,
    };
    // Given up if it takes too long: the child runs on to its end, and nobody joins it.
    let extra = async {
        branch!("extra", automerge = true, {
            spawn!("only", leaf(out.clone(), seed))
        })
        .await
    };
    tokio::select! {
        biased;
        extra = extra => drop(extra?),
        () = wait!("enough", Duration::from_millis(seed % 400)) => {}
    }
    sum += 1;
    let gate = Path::new(&gates).join(&run);
    continue_if!("gate", { Ok(gate.exists()) }).await?;
    step!("behind", effect(&out, &run, "behind", 2, 0)).await?;
    sum += 1;
    repeat!(
        "tick",
        every = Duration::from_millis(60),
        until = { Ok(cx.get::<u64>("ticks")?.unwrap_or(0) >= 2) },
        on_error = OnError::Continue,
        |_tick| {
            cx.update("ticks", |ticks: Option<u64>| ticks.unwrap_or(0) + 1)?;
            Ok(())
        }
    )
    .await?;
    sum += cx.get::<u64>("ticks")?.unwrap_or(0);
    Ok(sum + all.collect().await?.iter().sum::<u64>())
}

/// A child: two steps, now and then a pause between them.
#[workflow(name = "soak_leaf", retry = PATIENT)]
pub async fn leaf(cx: Context, out: String, seed: u64) -> Result<u64> {
    let run = cx.key().to_owned();
    step!("first", effect(&out, &run, "first", seed % 7, 13)).await?;
    if seed.is_multiple_of(3) {
        wait!("pause", Duration::from_millis(seed % 300)).await;
    }
    step!("second", effect(&out, &run, "second", seed % 5, 0)).await?;
    Ok(2)
}

/// The host's clock as if somebody had set it: a file says by how many milliseconds.
pub struct SetClock {
    file: std::path::PathBuf,
}

impl SetClock {
    /// A clock that this file sets.
    #[must_use]
    pub fn by(file: &str) -> Self {
        Self { file: file.into() }
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let leap = text.trim().parse().unwrap_or(0);
        Timestamp::now() + SignedDuration::from_millis(leap)
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.now() < deadline {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    }
}
