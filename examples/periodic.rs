//! A report every half second, across a stop of the process: ticks that came due meanwhile are made up
//! for if they are not too late, the others are skipped together.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono_forge::jiff::Timestamp;
use chrono_forge::prelude::*;

/// A real report would say `cron = "0 6 * * MON-FRI", zone = "Europe/Berlin"`.
const EVERY: Duration = Duration::from_millis(500);
/// Later than this a report is worth nothing any more.
const TOO_LATE: Duration = Duration::from_millis(1_200);
const REPORTS: u32 = 8;

/// Counts what this process wrote.
#[derive(Default)]
struct Printer {
    written: AtomicU32,
}

#[workflow]
async fn reports(cx: Context, printer: State<Printer>) -> Result<u32> {
    repeat!(
        "report",
        every = EVERY,
        timeout = TOO_LATE,
        until = { Ok(cx.get::<u32>("written")?.unwrap_or(0) >= REPORTS) },
        |tick| {
            printer.write(tick).await?;
            // Written in the commit that ends the tick, so the count is exact whatever happens.
            cx.update("written", |written: Option<u32>| written.unwrap_or(0) + 1)?;
            Ok(())
        }
    )
    .await?;
    Ok(cx.get("written")?.unwrap_or(0))
}

impl Printer {
    async fn write(&self, tick: Timestamp) -> Result<()> {
        let late = Timestamp::now().duration_since(tick).as_millis();
        let nth = self.written.fetch_add(1, Ordering::Relaxed) + 1;
        say(&format!("report {nth} of this process, {late} ms late"));
        Ok(())
    }
}

#[allow(clippy::print_stdout, reason = "this is the application")]
fn say(text: &str) {
    println!("{text}");
}

async fn open(database: &Path) -> Result<Forge> {
    let forge = Forge::builder(&database.to_string_lossy()).state(Printer::default());
    Ok(forge.open().await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    anyhow::ensure!(
        std::env::args().len() == 1,
        "this example takes no arguments"
    );
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("reports.db");

    let forge = open(&database).await?;
    forge.start("daily", reports()).await?;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    forge.shutdown().await;

    say("nobody works for three seconds");
    tokio::time::sleep(Duration::from_secs(3)).await;

    let forge = open(&database).await?;
    let run = forge.start("daily", reports()).await?;
    say(&format!("{} reports in all", run.result().await?));
    forge.shutdown().await;
    Ok(())
}
