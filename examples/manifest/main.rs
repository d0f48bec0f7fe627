//! Writes the SHA-256 manifest of a directory, and survives whatever happens meanwhile.
//!
//! ```sh
//! cargo run --release --example manifest -- <directory> --out <file>
//! sha256sum -c <file>
//! ```
//!
//! The manifest is what `find <directory> -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`
//! prints. Stop it, kill it, run it again: a file whose checksum is recorded is not read again.
//! Start with `workflows.rs`, which holds the durable part; the rest is an ordinary program.

mod name;
mod output;
mod progress;
mod session;
mod signals;
mod walk;
mod workflows;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chrono_forge::{Forge, RetryFilter, Run, Workflow, secs};
use clap::Parser;

use name::{Name, shown};
use output::Output;
use progress::{Progress, finished_before};
use session::Session;
use signals::Signals;
use workflows::{Job, Summary, job, manifest};

/// There is one run in a state file, so its key need not tell it from others.
const KEY: &str = "manifest";

/// More than there are cores: as many runs are claimed in one transaction, and most files are small.
const JOBS: u16 = 64;

const DETAILS: &str = "\
Checksums are written as sha256sum writes them, sorted by the bytes of their paths, which begin with \
DIRECTORY as given: `sha256sum -c` accepts the manifest in the directory where it was made. Regular \
files only: symbolic links, pipes and devices are left out, and so are the manifest and its state.

The state is in FILE.db (and a few FILE.db* beside it) until the manifest is written and told. Ctrl-C stops cleanly; \
after that, or after a crash, the same command goes on where it was: files whose checksums are recorded \
are not read again, even if they have changed since. What failed is tried again, too. To start over, \
remove FILE.db.

Exit status: 0 if all is well; 1 if some files could not be read (the others are in the manifest); 2 if \
no manifest could be made; 130 or 143 if stopped by Ctrl-C or SIGTERM.";

/// Write the SHA-256 manifest of a directory, durably.
#[derive(Parser)]
#[command(after_help = DETAILS)]
struct Args {
    /// Whose files to take.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Where to write the manifest.
    #[arg(long, value_name = "FILE", default_value = "MANIFEST.sha256")]
    out: PathBuf,
    /// Files in work at the same time.
    #[arg(long, value_name = "N", default_value_t = JOBS, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
}

#[tokio::main]
#[allow(clippy::print_stderr, reason = "this is the application")]
async fn main() {
    let code = work(&Args::parse()).await.unwrap_or_else(|error| {
        eprintln!("manifest: {error:#}");
        2
    });
    // Not by returning, which would wait for files that are still being read.
    std::process::exit(code);
}

async fn work(args: &Args) -> Result<i32> {
    let mut signals = Signals::listen()?;
    let root = root(&args.directory)?;
    let output = Arc::new(Output::claim(&args.out)?);
    let is_resumed = output.is_begun();
    let session = Session::new(Arc::clone(&output), &root)?;
    let progress = Arc::clone(&session.progress);
    let job = agree(&output, Job::new(Name::of(&args.directory), root)).await?;

    let forge = Forge::builder(&state_url(&output)?)
        .state(session)
        .queue("default", 1)
        .queue("files", args.jobs.into())
        .shutdown_grace(secs(3))
        .open()
        .await
        .with_context(|| state_text(&output))?;
    if is_resumed {
        try_again(&forge).await?;
        progress.resume(finished_before(&forge, KEY).await?);
    }
    let run = forge.start(KEY, manifest(job.directory)).await?;
    let result = tokio::select! {
        result = run.result() => result,
        code = signals.next() => {
            progress.clear();
            forge.shutdown().await;
            park_message(&progress, &output);
            return Ok(code);
        }
        () = progress.report() => unreachable!("it reports for as long as it is polled"),
    };
    progress.clear();
    close(forge, run).await;
    let summary = result.with_context(|| {
        let state = state_text(&output);
        format!("the same command tries again; to start over, remove {state}")
    })?;
    let code = tell(&summary, &progress, &output);
    output.end().context("the state could not be removed")?;
    Ok(code)
}

fn root(directory: &Path) -> Result<PathBuf> {
    let root = fs::canonicalize(directory).with_context(|| shown(directory))?;
    if !root.is_dir() {
        bail!("{} is not a directory", shown(directory));
    }
    Ok(root)
}

/// The job of the state file, which must be the one that is asked for.
async fn agree(output: &Output, asked: Job) -> Result<Job> {
    // Serves this workflow alone, so that nothing goes on before this is settled.
    let forge = Forge::builder(&state_url(output)?)
        .workflows([job::NAME])
        .open()
        .await
        .with_context(|| state_text(output))?;
    let run = forge.start(KEY, job(asked.clone())).await?;
    let first = run.result().await?;
    close(forge, run).await;
    if first != asked {
        let first = first.absolute.shown();
        let state = state_text(output);
        bail!("{state} is of an unfinished run over {first}; finish that one, or remove the file");
    }
    Ok(first)
}

/// Whatever an earlier process left failed or stalled, files and the manifest alike, goes on from what is
/// recorded: the user has asked again, perhaps with more room on the disk.
#[allow(clippy::print_stderr, reason = "this is the application")]
async fn try_again(forge: &Forge) -> Result<()> {
    let retried = forge.retry_all(RetryFilter::new()).await?;
    if retried > 0 {
        eprintln!("The last attempt failed in {retried} places; trying those again.");
    }
    Ok(())
}

/// Shuts down and lets go of the database: it is removed, or opened again, next.
async fn close<T>(forge: Forge, run: Run<T>) {
    forge.shutdown().await;
    drop((forge, run));
}

/// A plain path: in a URL some characters of it would mean something.
fn state_url(output: &Output) -> Result<String> {
    let state = output.state().into_os_string().into_string();
    state.map_err(|path| {
        anyhow::anyhow!(
            "{}: the path of the state must be UTF-8",
            shown(path.as_ref())
        )
    })
}

fn state_text(output: &Output) -> String {
    format!("the state file {}", shown(&output.state()))
}

#[allow(clippy::print_stderr, reason = "this is the application")]
fn park_message(progress: &Progress, output: &Output) {
    let (hashed, state) = (progress.hashed(), shown(&output.state()));
    eprintln!("Stopped: {hashed} files hashed now. The same command goes on from here;");
    eprintln!("to start over, remove {state} first.");
}

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the application"
)]
fn tell(summary: &Summary, progress: &Progress, output: &Output) -> i32 {
    let Summary {
        files,
        unreadable,
        named,
    } = summary;
    let now = progress.hashed().min(*files);
    println!(
        "{}: {files} files ({now} hashed now, {} before)",
        shown(&output.given),
        files - now
    );
    if *unreadable == 0 {
        return 0;
    }
    eprintln!("{unreadable} could not be read and are left out:");
    for (file, problem) in named {
        eprintln!("  {}: {problem}", file.shown());
    }
    if *unreadable > named.len() as u64 {
        eprintln!("  and {} more", unreadable - named.len() as u64);
    }
    1
}
