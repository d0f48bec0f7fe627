//! Moves all runs of one database to another, in the middle of what they do: from a file to a server, or back.
//!
//! Without arguments it shows the way on two files of its own.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono_forge::prelude::*;
use clap::Parser;

/// Moves all runs of one database to another. Shut down the workers of both first, and leave those of the old
/// one down. Cut off while it imports, it goes on with `--resume`.
#[derive(Parser)]
struct Options {
    /// The old database: `sqlite://orders.db`
    #[arg(requires = "to")]
    from: Option<String>,
    /// The new one: `postgres://app@db.internal/app?schema=forge`
    to: Option<String>,
    /// Where the export is kept; it must not be there yet
    #[arg(long, default_value = "runs.jsonl")]
    file: PathBuf,
    /// Import the file that is there, to go on with an import that was cut off
    #[arg(long)]
    resume: bool,
}

#[workflow]
async fn journey(places: Vec<String>) -> Result<String> {
    let route = step!("plan", { Ok(places.join(" -> ")) }).await?;
    continue_if!("packed", { Ok(true) }).await?;
    Ok(route)
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    match (&options.from, &options.to) {
        (Some(from), Some(to)) => transfer(from, to, &options.file, options.resume).await,
        _ => show().await,
    }
}

/// The old database to the file, the file to the new one.
async fn transfer(from: &str, to: &str, file: &Path, resume: bool) -> Result<()> {
    if !resume {
        // Of which moment, or even of which database, would it be?
        anyhow::ensure!(
            !file.exists(),
            "{} is there already: `--resume` imports it, to go on with what was cut off; `--file` names another one",
            file.display()
        );
        export(from, file).await?;
    }
    let text = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    // Who only moves runs executes none. Workers of the new database begin when it is done.
    let new = Forge::builder(to).worker(false).open().await?;
    let imported = new.import(BufReader::new(text)).await?;
    new.shutdown().await;
    say(&format!(
        "{to}: {} runs with {} records imported, {} were there",
        imported.runs, imported.records, imported.skipped
    ));
    Ok(())
}

/// Under another name until it is whole: the import of a file that was begun needs this very file again.
async fn export(from: &str, file: &Path) -> Result<()> {
    // A file that is not there would be made as it is opened, and the mistyped name be a database from then on.
    if !from.starts_with("postgres") {
        let path = from.strip_prefix("sqlite:").unwrap_or(from);
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = path.split('?').next().unwrap_or_default();
        anyhow::ensure!(Path::new(path).exists(), "there is no file {path}");
    }
    let old = Forge::builder(from).worker(false).open().await?;
    let draft = file.with_extension("part");
    let text = File::create(&draft);
    let mut text = text.with_context(|| format!("cannot write {}", draft.display()))?;
    let exported = old.export(&mut text).await?;
    old.shutdown().await;
    // A schema that is not there is made when it is opened: a mistyped name is an empty one.
    if exported.runs == 0 {
        std::fs::remove_file(&draft)?;
        anyhow::bail!("{from} has no runs: is it the right one?");
    }
    text.sync_all()?;
    std::fs::rename(&draft, file)?;
    say(&format!(
        "{from}: {} runs with {} records exported to {}",
        exported.runs,
        exported.records,
        file.display()
    ));
    Ok(())
}

async fn show() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let url = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    let (from, to) = (url("old.db"), url("new.db"));
    let old = Forge::builder(&from).worker(false).open().await?;
    let places = ["Kirkwall", "Lerwick"].map(str::to_owned);
    old.start("north", journey(places.to_vec())).await?;
    old.shutdown().await;
    transfer(&from, &to, &folder.path().join("runs.jsonl"), false).await?;
    let new = Forge::open(&to).await?;
    let run = new.get::<journey>("north").await?;
    let run = run.ok_or_else(|| anyhow::anyhow!("the run did not arrive"))?;
    say(&format!("north: {}", run.result().await?));
    new.shutdown().await;
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this is the application")]
fn say(text: &str) {
    println!("{text}");
}
