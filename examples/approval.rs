//! Waiting for a person: a run parks until it is woken, and the process may end meanwhile.

use std::fs;
use std::path::{Path, PathBuf};

use chrono_forge::prelude::*;

/// Where approvals are kept: here a file, usually a table of the application.
struct Desk {
    approved: PathBuf,
}

impl Desk {
    async fn is_approved(&self) -> Result<bool> {
        Ok(self.approved.exists())
    }
}

#[workflow]
async fn expense(desk: State<Desk>, cents: u64) -> Result<String> {
    let request = step!("file", {
        say("the request is filed");
        Ok(format!("request over {cents} cents"))
    })
    .await?;
    // Looked at once for each wake-up; in between the run costs nothing but its row.
    continue_if!("approved", desk.is_approved()).await?;
    step!("pay", {
        say("the money is sent");
        Ok(())
    })
    .await?;
    Ok(format!("{request}: paid"))
}

async fn open(folder: &Path) -> Result<Forge> {
    let approved = folder.join("approved");
    let database = folder.join("expenses.db");
    let builder = Forge::builder(&database.to_string_lossy()).state(Desk { approved });
    Ok(builder.open().await?)
}

#[allow(clippy::print_stdout, reason = "this is the application")]
fn say(text: &str) {
    println!("{text}");
}

#[tokio::main]
async fn main() -> Result<()> {
    anyhow::ensure!(
        std::env::args().len() == 1,
        "this example takes no arguments"
    );
    let folder = tempfile::tempdir()?;

    // Monday: the request comes in, and the machine is switched off.
    let forge = open(folder.path()).await?;
    forge.start("ada's train", expense(8_900)).await?;
    // Until nothing is left to do but wait.
    forge.settled().await?;
    say("it waits for an approval; the process stops");
    forge.shutdown().await;
    drop(forge);

    // Thursday: a new process knows nothing but the database. What was filed is not filed again.
    let forge = open(folder.path()).await?;
    say("a new process has started");
    fs::write(folder.path().join("approved"), "by Grace")?;
    say("approved");
    // The condition is not polled: whoever changes the world wakes the run.
    forge.wake::<expense>("ada's train").await?;
    match forge.get::<expense>("ada's train").await? {
        Some(run) => say(&run.result().await?),
        None => anyhow::bail!("the run is gone"),
    }
    forge.shutdown().await;
    Ok(())
}
