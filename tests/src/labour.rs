//! Workflows whose effects are lines in a file, for processes that are killed. They ask for no state,
//! since they are linked into every suite.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono_forge::prelude::*;

/// One line of the side file: an effect that a process began or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who did it.
    pub pid: u32,
    /// When, in microseconds since 1970.
    pub at: u128,
    /// `begin` or `end`.
    pub edge: String,
    /// The run's key.
    pub run: String,
    /// The step's key.
    pub step: String,
}

/// What was done so far, in order.
///
/// # Panics
/// When the file holds something else.
#[must_use]
pub fn lines(out: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(out).unwrap_or_default();
    let line = |line: &str| -> Option<Line> {
        let mut words = line.split(' ');
        Some(Line {
            pid: words.next()?.parse().ok()?,
            at: words.next()?.parse().ok()?,
            edge: words.next()?.to_owned(),
            run: words.next()?.to_owned(),
            step: words.next()?.to_owned(),
        })
    };
    text.lines()
        .map(|text| line(text).unwrap_or_else(|| panic!("no line: {text:?}")))
        .collect()
}

/// Lines of one process never interleave with those of another: each is one appending write.
fn tell(out: &str, edge: &str, run: &str, step: &str) -> Result<()> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    let line = format!("{} {at} {edge} {run} {step}\n", std::process::id());
    let mut file = OpenOptions::new().create(true).append(true).open(out)?;
    Ok(file.write_all(line.as_bytes())?)
}

async fn effect(out: &str, run: &str, step: &str, millis: u64) -> Result<u32> {
    tell(out, "begin", run, step)?;
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    tell(out, "end", run, step)?;
    Ok(1)
}

/// So many steps, one after the other; gives their number.
#[workflow]
pub async fn labour(cx: Context, out: String, steps: u32, millis: u64) -> Result<u32> {
    toil(&cx, &out, steps, millis).await
}

/// As [`labour()`], in a queue of its own.
#[workflow(queue = "left")]
pub async fn labour_left(cx: Context, out: String, steps: u32, millis: u64) -> Result<u32> {
    toil(&cx, &out, steps, millis).await
}

/// As [`labour()`], in another queue of its own.
#[workflow(queue = "right")]
pub async fn labour_right(cx: Context, out: String, steps: u32, millis: u64) -> Result<u32> {
    toil(&cx, &out, steps, millis).await
}

#[workflow(part)]
async fn toil(cx: &Context, out: &str, steps: u32, millis: u64) -> Result<u32> {
    let mut sum = 0;
    for n in 0..steps {
        let key = format!("s{n}");
        sum += step!("s{n}", effect(out, cx.key(), &key, millis)).await?;
    }
    Ok(sum)
}

/// A tick every so many milliseconds until so many are over; each counts one.
#[workflow]
pub async fn ticker(cx: Context, out: String, ticks: u32, every_millis: u64) -> Result<u32> {
    repeat!(
        "tick",
        every = Duration::from_millis(every_millis),
        until = { Ok(cx.get::<u32>("over")?.unwrap_or(0) == ticks) },
        |tick| {
            let name = tick.as_microsecond().to_string();
            effect(&out, cx.key(), &name, 10).await?;
            cx.update("over", |over: Option<u32>| over.unwrap_or(0) + 1)?;
            Ok(())
        }
    )
    .await?;
    Ok(cx.get("over")?.unwrap_or(0))
}

/// So many children of so many steps each; gives the sum of what they give.
#[workflow]
pub async fn fan(out: String, children: u32, steps: u32, millis: u64) -> Result<u32> {
    let all = branch!("all", automerge = true, {
        spawn_each!("child", of = 40, 0..children, |_n| labour(
            out.clone(),
            steps,
            millis
        ))
    })
    .await?;
    Ok(all.collect().await?.iter().sum())
}

/// Takes down every process that runs it.
#[workflow]
pub async fn killer(cx: Context, out: String) -> Result<()> {
    step!("kill", kill(&out, cx.key())).await?;
    Ok(())
}

async fn kill(out: &str, run: &str) -> Result<()> {
    tell(out, "begin", run, "kill")?;
    std::process::abort()
}

/// A step that fails until the file of this name exists, and then another.
#[workflow]
pub async fn awaits_file(cx: Context, out: String, file: String) -> Result<u32> {
    let found = step!(
        "look",
        retry = RetryPolicy::none(),
        look(&out, cx.key(), &file)
    )
    .await?;
    let then = step!("then", effect(&out, cx.key(), "then", 0)).await?;
    Ok(found + then)
}

async fn look(out: &str, run: &str, file: &str) -> Result<u32> {
    tell(out, "begin", run, "look")?;
    anyhow::ensure!(Path::new(file).exists(), "{file} is not there");
    tell(out, "end", run, "look")?;
    Ok(1)
}

/// A step that hangs in the first process that runs it.
#[workflow]
pub async fn hangs_once(cx: Context, out: String) -> Result<u32> {
    let before = step!("before", effect(&out, cx.key(), "before", 0)).await?;
    let hung = step!("hang", hang_once(&out, cx.key())).await?;
    Ok(before + hung)
}

async fn hang_once(out: &str, run: &str) -> Result<u32> {
    let begun = lines(Path::new(out))
        .iter()
        .any(|line| line.run == run && line.step == "hang");
    tell(out, "begin", run, "hang")?;
    if !begun {
        std::future::pending::<()>().await;
    }
    tell(out, "end", run, "hang")?;
    Ok(1)
}
