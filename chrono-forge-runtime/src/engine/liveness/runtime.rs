//! Whether the runtime polls: a thread that a step or a body keeps for itself polls nothing else.
//!
//! A task that ticks says that the runtime polls; the pulse's thread, which needs no runtime, looks after it. And it
//! looks how long each body is being polled just now: where a runtime has several threads, it ticks on while some of
//! them are kept.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::host::Host;
use crate::engine::pass::Pass;
use crate::store::{StoreResult, Writer};
use crate::telemetry::TARGET;

/// Steps whose names are kept so that each is warned of once.
const WARNED_MAX: usize = 1_000;

/// How many names a line has room for.
const NAMES_MAX: usize = 10;

const REMEDY: &str = "run what blocks in tokio::task::spawn_blocking and await that";

/// When the runtime was last seen to poll.
#[derive(Debug)]
pub struct Ticks(Mutex<Instant>);

impl Default for Ticks {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Ticks {
    fn tick(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn since(&self) -> Duration {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }
}

/// Since when a body is being polled.
#[derive(Debug, Default)]
pub struct Polling(AtomicU64);

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Polling {
    /// A poll begins.
    pub fn begin(&self) {
        let at = BEGUN.elapsed().as_micros();
        let at = u64::try_from(at).unwrap_or(u64::MAX - 1) + 1;
        self.0.store(at, Ordering::Relaxed);
    }

    /// It has ended.
    pub fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// How long the poll that is under way lasts.
    fn lasts(&self) -> Option<Duration> {
        let at = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(BEGUN.elapsed().saturating_sub(Duration::from_micros(at)))
    }
}

/// Ticks as long as the runtime polls.
pub async fn tick(host: Arc<Host>) {
    while !host.over.load(Ordering::Acquire) {
        host.ticks.tick();
        tokio::time::sleep(interval(&host)).await;
    }
}

/// How often the runtime ticks, and is looked after.
pub(super) fn interval(host: &Host) -> Duration {
    (host.config.heartbeat / 2).min(Duration::from_secs(1))
}

/// What the pulse's thread knows of the runtime.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// Since when it does not poll, and what it executes meanwhile.
    stuck: Option<String>,
    /// Whether the worker's row says so.
    noted: bool,
    warned: HashSet<(String, String)>,
}

impl Lookout {
    /// Tells once of what keeps a thread, and of a runtime that polls nothing.
    pub(super) fn look(&mut self, host: &Arc<Host>) {
        for pass in host.holdings.all_passes() {
            let lasts = pass.polling.lasts();
            if let Some(lasts) = lasts.filter(|lasts| *lasts > host.config.heartbeat) {
                self.warn(&pass, lasts);
            }
        }
        let since = host.ticks.since();
        let is_stuck = since > host.config.lease;
        match (is_stuck, self.stuck.take()) {
            (true, None) => {
                let executes = executes(host);
                tracing::error!(target: TARGET, ?since, %executes, "the runtime polls nothing any more; what executes goes on, everything else of this worker waits, unless the whole process was stopped: {REMEDY}");
                self.stuck = Some(executes);
            }
            (true, told) => self.stuck = told,
            (false, Some(_)) => {
                tracing::info!(target: TARGET, "the runtime polls again");
            }
            (false, None) => {}
        }
        if self.stuck.is_some() != self.noted && self.note(host).is_ok() {
            self.noted = self.stuck.is_some();
        }
    }

    fn warn(&mut self, pass: &Pass, lasts: Duration) {
        let workflow = pass.run.workflow.to_string();
        let place = pass.polled_place();
        if self.warned.len() >= WARNED_MAX {
            self.warned.clear();
        }
        if self.warned.insert((workflow.clone(), place.clone())) {
            let key = &pass.run.key;
            tracing::warn!(target: TARGET, %workflow, %key, %place, ?lasts, "it keeps the thread that polls it, and with it whatever else that thread should poll: {REMEDY}");
        }
    }

    /// A row without it says nothing wrong; it is tried again at the next look.
    fn note(&self, host: &Arc<Host>) -> StoreResult<()> {
        let Some(worker) = host.holdings.worker() else {
            return Ok(());
        };
        let stuck = self.stuck.clone();
        let note = move |writer: &mut dyn Writer| writer.note_stuck(worker, stuck.as_deref());
        host.committer().call_alive_blocking("note_stuck", note)
    }
}

/// What is being polled, by name.
fn executes(host: &Host) -> String {
    let passes = host.holdings.all_passes();
    let polled: Vec<String> = passes
        .iter()
        .filter(|pass| pass.polling.lasts().is_some())
        .map(|pass| {
            let place = pass.polled_place();
            format!("{place} of {} `{}`", pass.run.workflow, pass.run.key)
        })
        .collect();
    match polled.len() {
        0 => "nothing of the engine's: something else keeps its threads".to_owned(),
        more if more > NAMES_MAX => {
            let named = polled[..NAMES_MAX].join(", ");
            format!("{named} and {} more", more - NAMES_MAX)
        }
        _ => polled.join(", "),
    }
}
