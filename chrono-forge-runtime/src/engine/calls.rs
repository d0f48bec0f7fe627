//! Calls between processes: what makes others faster than their poll interval, and is never needed.
//!
//! A call is a transaction of its own, and the database takes those with a call one after the other. So calls
//! are collected, and go out at once only where the engine was idle: under load everybody looks at the queue
//! all the time anyhow. What is lost costs time: whoever waits looks again within its poll interval.

mod listening;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::host::Host;
use crate::record::RunId;
use crate::store::Call;
use crate::telemetry::TARGET;

pub use listening::listen;

/// Calls that somebody is likely to wait for go out this often at most.
const PROMPT: Duration = Duration::from_millis(10);

/// The others.
const LAZY: Duration = Duration::from_millis(100);

/// What follows an event in this process (a claim, as a rule) goes first.
const BREATH: Duration = Duration::from_millis(1);

/// Settled runs that are told of together. Of more than that the rest is found by looking.
const SETTLED_MAX: usize = 100;

/// What is to be told, and when.
#[derive(Debug)]
pub struct Calls {
    /// The database carries calls.
    on: bool,
    /// Whether other workers live, who could take what is due. Taken for granted until somebody looks.
    company: AtomicBool,
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    due: bool,
    settled: Vec<RunId>,
    /// Somebody is likely to wait for one of these.
    prompt: bool,
}

impl Calls {
    /// Nothing to tell yet.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self {
            on,
            company: AtomicBool::new(true),
            waiting: Mutex::default(),
            came: Notify::new(),
        }
    }

    /// Whether other workers live.
    pub fn note_company(&self, others: bool) {
        self.company.store(others, Ordering::Relaxed);
    }

    /// A run is due; `prompt` when the engine is idle otherwise.
    pub fn due(&self, prompt: bool) {
        if self.on && self.company.load(Ordering::Relaxed) {
            let mut waiting = self.lock();
            waiting.due = true;
            waiting.prompt |= prompt;
            drop(waiting);
            self.came.notify_one();
        }
    }

    /// A run has settled; `prompt` unless somebody waited for it in this process, who is probably the only one.
    pub fn settled(&self, run: RunId, prompt: bool) {
        if !self.on {
            return;
        }
        let mut waiting = self.lock();
        if waiting.settled.len() < SETTLED_MAX {
            waiting.settled.push(run);
            waiting.prompt |= prompt;
            drop(waiting);
            self.came.notify_one();
        }
    }

    /// How far the next call must be from the last one; `None` when nothing waits.
    fn pause(&self) -> Option<Duration> {
        let waiting = self.lock();
        let is_empty = !waiting.due && waiting.settled.is_empty();
        (!is_empty).then_some(if waiting.prompt { PROMPT } else { LAZY })
    }

    fn take(&self) -> Vec<Call> {
        let waiting = std::mem::take(&mut *self.lock());
        let due = waiting.due.then_some(Call::Due);
        let settled = waiting.settled.into_iter().map(Call::Settled);
        due.into_iter().chain(settled).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what is to be told, for as long as the engine lives.
pub async fn send(host: Arc<Host>) {
    if !host.calls.on {
        return;
    }
    // Nothing was sent for a long time.
    let mut sent: Option<Instant> = None;
    loop {
        host.calls.came.notified().await;
        tokio::time::sleep(BREATH).await;
        // Who comes meanwhile may make it urgent, but never later.
        while let Some(pause) = host.calls.pause() {
            let at = sent.map_or_else(Instant::now, |sent| sent + pause);
            if Instant::now() >= at {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => {}
                () = host.calls.came.notified() => {}
            }
        }
        tell(&host).await;
        sent = Some(Instant::now());
    }
}

/// Tells others now.
pub async fn tell(host: &Host) {
    let calls = host.calls.take();
    if calls.is_empty() {
        return;
    }
    let told = host
        .committer()
        .call("notify", move |writer| writer.notify(&calls))
        .await;
    if let Err(error) = told {
        // They look by themselves.
        tracing::debug!(target: TARGET, %error, "other processes could not be told");
    }
}

#[cfg(test)]
mod tests;
