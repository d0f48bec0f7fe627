//! What is seen while it works: a bar on a terminal, a line every few seconds elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono_forge::Forge;
use indicatif::{ProgressBar, ProgressStyle};

use crate::workflows::digest;

const BAR: &str = "{bar:30} {human_pos} of {human_len} files, {per_sec}, {eta} left";
const REPORT_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Files hashed by this process.
    hashed: AtomicU64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        let hashed = AtomicU64::new(0);
        Self { bar, hashed }
    }

    pub(crate) fn expect(&self, files: u64) {
        self.bar.set_length(files);
    }

    /// Goes on where an earlier process was; its speed does not count.
    pub(crate) fn resume(&self, done: u64) {
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    pub(crate) fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    pub(crate) fn add_hashed(&self) {
        self.hashed.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(1);
    }

    pub(crate) fn add_unreadable(&self, message: &str) {
        self.bar.inc(1);
        self.say(message);
    }

    /// A line of its own, above the bar.
    #[allow(clippy::print_stderr, reason = "this is the application")]
    pub(crate) fn say(&self, message: &str) {
        self.bar.suspend(|| eprintln!("{message}"));
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Reports for as long as it is polled, unless the bar does.
    pub(crate) async fn report(&self) {
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            if !stderr().is_terminal() {
                self.say(&self.line());
            }
        }
    }

    fn line(&self) -> String {
        let (done, all) = (self.bar.position(), self.bar.length());
        let all = all.map_or("?".to_owned(), |it| it.to_string());
        let (speed, left) = (self.bar.per_sec(), self.bar.eta());
        format!(
            "{done} of {all} files, {speed:.0}/s, {} s left",
            left.as_secs()
        )
    }
}

/// About how many files earlier processes finished: files are finished nearly in the order in which
/// they were found, so the first one that is not is found by bisection. Good enough for a bar.
pub(crate) async fn finished_before(forge: &Forge, run: &str) -> anyhow::Result<u64> {
    let (mut low, mut high) = (0, 1);
    while is_finished(forge, run, high - 1).await? {
        (low, high) = (high, high * 2);
    }
    while low < high {
        let middle = low.midpoint(high);
        match is_finished(forge, run, middle).await? {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Ok(low)
}

/// A child's key is made of its run's, its branch's and its spawn's, and its number.
async fn is_finished(forge: &Forge, run: &str, number: u64) -> anyhow::Result<bool> {
    let child = forge
        .get::<digest>(&format!("{run}$files$file${number}"))
        .await?;
    match child {
        Some(child) => Ok(child.state().await? == chrono_forge::RunState::Completed),
        None => Ok(false),
    }
}
