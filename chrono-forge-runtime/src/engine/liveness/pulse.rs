//! The pulse: keeps one worker alive, from a thread of its own.
//!
//! Whatever a runtime executes may keep it from everything else: a step that blocks its thread, a body that computes
//! for a minute. None of that says that the process is dead, so the lease is not renewed there. The thread lives as
//! long as the engine, and the engine no longer than the thread: one that panics takes the engine with it, since a
//! worker whose lease nobody renews only looks alive.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::runtime::Lookout;
use super::{Vitals, runtime};
use crate::clock::Moment;
use crate::engine::end::Leave;
use crate::engine::host::Host;
use crate::engine::parts;
use crate::error::{Error, StoreErrorKind};
use crate::record::{Epoch, RunId, WorkerId};
use crate::store::{Fate, Heartbeat, StoreError, StoreResult, WorkerEntry, Writer};
use crate::telemetry::{TARGET, Trouble};

/// A heartbeat that failed is tried again after this part of the interval.
const RETRY_PART: u32 = 5;

/// Keeps one worker alive.
pub struct Pulse {
    vitals: Arc<Vitals>,
    trouble: Trouble,
    lookout: Lookout,
    /// What was taken from this worker when it was declared dead, until the database was told that it lives.
    taken: Vec<(RunId, Epoch)>,
    /// Runs that lost their passes since a heartbeat last found this worker alive. If the next one
    /// tells that it was declared dead, that is why.
    uncounted: Vec<(RunId, Epoch)>,
    /// A row that was registered and not entered: something failed in between, and it is tried again with the same.
    unused: Option<WorkerId>,
    /// Its row stands in what the database was set back or moved to, and holds the runs of a life
    /// that is over.
    left: Option<WorkerId>,
}

impl Pulse {
    pub(super) fn new(vitals: Arc<Vitals>) -> Self {
        Self {
            vitals,
            trouble: Trouble::default(),
            lookout: Lookout::default(),
            taken: Vec::new(),
            uncounted: Vec::new(),
            unused: None,
            left: None,
        }
    }

    fn host(&self) -> &Arc<Host> {
        &self.vitals.host
    }

    /// Enters for the first time, or leaves no row behind. Blocks.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        let entered = self.enter();
        if entered.is_err()
            && let Some(worker) = self.unused.take()
        {
            // If even this fails, the lease of the row expires.
            let _ = self.retire(worker);
        }
        entered
    }

    /// Starts the thread.
    pub fn start(self) -> std::io::Result<std::thread::JoinHandle<()>> {
        // The kernel shows 15 letters.
        let name = "chrono-forge-pulse".to_owned();
        let thread = std::thread::Builder::new().name(name);
        let host = Arc::clone(self.host());
        thread.spawn(move || {
            parts::thread(
                || self.run(),
                |problem| host.part_died("the heartbeat", problem),
            );
        })
    }

    fn enter(&mut self) -> Result<(), Error> {
        let host = Arc::clone(self.host());
        host.keep_lock(None);
        let (worker, asked) = self.row()?;
        // After the row is there: an import notes itself and then looks for workers, so one of the two
        // sees the other.
        let unfinished = host.store.unfinished_import()?;
        if let Some(started_at) = unfinished {
            self.retire(worker)?;
            self.unused = None;
            return Err(Error::ImportUnfinished { started_at });
        }
        if let Some(locks) = &self.vitals.locks {
            host.keep_lock(Some(locks.hold(worker)?));
            // Among them may be our own: if others declared our last row dead before its file was
            // there, nobody else removes it.
            if let Ok(live) = host.store.live_workers() {
                locks.sweep(&live.iter().map(|it| it.id).collect::<Vec<_>>());
            }
        }
        self.unused = None;
        host.enter(worker, asked);
        Ok(())
    }

    /// A live row, and when it was asked for. What failed after the last one was registered must not leave a row
    /// behind at each try.
    fn row(&mut self) -> StoreResult<(WorkerId, Moment)> {
        if let Some(worker) = self.unused {
            let (beat, asked) = self.renew(worker)?;
            if !beat.worker_dead {
                return Ok((worker, asked));
            }
            self.unused = None;
        }
        let (worker, asked) = self.register()?;
        self.unused = Some(worker);
        Ok((worker, asked))
    }

    fn register(&self) -> StoreResult<(WorkerId, Moment)> {
        let clock = Arc::clone(self.host());
        let config = &clock.config;
        let (name, lease) = (config.worker_name.clone(), config.lease);
        let workflows = clock.registry.names();
        let queues: Vec<String> = config.queues.iter().map(|(name, _)| name.clone()).collect();
        let register = move |writer: &mut dyn Writer| {
            let entry = WorkerEntry {
                name: &name,
                host: &host_name(),
                pid: std::process::id(),
                workflows: &workflows,
                queues: &queues,
                lease,
            };
            if clock.is_over() {
                let error = "the engine was shut down";
                return Err(StoreError::new("register", StoreErrorKind::Closed, error));
            }
            let asked = Moment::now();
            let worker = writer.register_worker(&entry, clock.real_now())?;
            clock.note_registered(worker);
            Ok((worker, asked))
        };
        self.host()
            .committer()
            .call_alive_blocking("register", register)
    }

    fn retire(&self, worker: WorkerId) -> StoreResult<()> {
        let clock = Arc::clone(self.host());
        let retire = move |writer: &mut dyn Writer| writer.retire_worker(worker, clock.real_now());
        self.host()
            .committer()
            .call_alive_blocking("retire", retire)
    }

    /// Beats until the worker leaves.
    fn run(mut self) {
        let host = Arc::clone(self.host());
        host.beats_here();
        let interval = host.config.heartbeat;
        let mut next = Instant::now() + interval;
        loop {
            rest_until(&host, next.min(Instant::now() + runtime::interval(&host)));
            if host.over.load(Ordering::Acquire) {
                return;
            }
            self.lookout.look(&host);
            if Instant::now() < next {
                continue;
            }
            next = Instant::now() + interval;
            match self.beat() {
                Ok(()) => {
                    self.trouble.end("the heartbeat succeeds again");
                }
                Err(Error::Store(error)) if error.ends_the_engine() => {
                    return host.halt(Error::Store(error), Leave::Silently);
                }
                // The commit threads are gone: nothing is written any more, and no lease renewed.
                Err(Error::Store(error)) if error.kind == StoreErrorKind::Closed => {
                    // Who stopped them does the rest.
                    if !host.is_over() {
                        host.crash();
                    }
                    return;
                }
                Err(error) => {
                    next = Instant::now() + interval / RETRY_PART;
                    if self.trouble.is_worth_telling() {
                        tracing::warn!(target: TARGET, %error, "a heartbeat failed; it is tried again, and once the lease is over others take over what this worker holds: see that the database takes writes");
                    }
                }
            }
        }
    }

    fn beat(&mut self) -> Result<(), Error> {
        let Some(worker) = self.host().holdings.worker() else {
            return self.enter_again();
        };
        self.uncounted
            .extend(self.vitals.host.holdings.take_uncounted());
        let (beat, asked) = self.renew(worker)?;
        if beat.worker_dead {
            return self.died(worker, beat.fate);
        }
        self.uncounted.clear();
        if self.host().since_renewal() > self.vitals.outage_min() {
            self.vitals.outages.fetch_add(1, Ordering::Release);
        }
        self.host().renewed(asked);
        self.compared(worker, &beat);
        Ok(())
    }

    fn renew(&self, worker: WorkerId) -> StoreResult<(Heartbeat, Moment)> {
        let host = Arc::clone(self.host());
        let renew = move |writer: &mut dyn Writer| {
            let asked = Moment::now();
            let held = host.holdings.runs();
            let beat = writer.heartbeat(worker, &held, host.real_now())?;
            Ok((beat, asked))
        };
        self.host()
            .committer()
            .call_alive_blocking("heartbeat", renew)
    }

    /// This life is over; a new one takes its place.
    fn died(&mut self, worker: WorkerId, fate: Fate) -> Result<(), Error> {
        let held = self.host().holdings.runs();
        let (what, remedy) = told(fate);
        tracing::warn!(target: TARGET, %worker, dropped = held.len(), "this worker is over: {what}; its passes are dropped, and it enters anew: {remedy}");
        if fate == Fate::DeclaredDead {
            self.taken.extend(held);
            self.taken.append(&mut self.uncounted);
            // First, so that what is noted of runs that lose their passes now comes after it; they are fenced anyhow.
            let told = self.came_back();
            self.host().leave();
            told?;
            return self.enter_again();
        }
        // Nobody else begins what is handed back before it is dropped here.
        self.host().leave();
        match fate {
            // All that the row of the old life holds there, also what memory does not know of.
            Fate::Moved | Fate::SetBack => self.left = Some(worker),
            // Nobody else recovers what was held under a row that is not there. Runs that the database knows
            // under these very locks were claimed before the copy was made.
            _ if !held.is_empty() => self.release(worker, held),
            _ => {}
        }
        self.enter_again()
    }

    fn enter_again(&mut self) -> Result<(), Error> {
        if let Some(worker) = self.left {
            self.retire(worker)?;
            self.left = None;
        }
        if self.host().closing.load(Ordering::Acquire) {
            // It was about to leave anyhow.
            return Ok(());
        }
        self.came_back()?;
        self.enter()
    }

    /// This worker was declared dead and lives, so that was no crash of the runs that it held. A
    /// run that is in quarantine since it lost its pass again and again stays there.
    fn came_back(&mut self) -> StoreResult<()> {
        if self.taken.is_empty() {
            return Ok(());
        }
        let taken = self.taken.clone();
        let host = Arc::clone(self.host());
        let tell = move |writer: &mut dyn Writer| {
            writer.came_back(&taken)?;
            let runs = taken.iter().map(|(run, _)| *run);
            for run in runs.filter(|run| host.holdings.loses_again_and_again(*run)) {
                writer.quarantine(run, host.config.crashes.quarantine_from)?;
            }
            Ok(())
        };
        self.host()
            .committer()
            .call_alive_blocking("came_back", tell)?;
        self.taken.clear();
        Ok(())
    }

    /// What the database knows and memory does not, and the other way round.
    fn compared(&self, worker: WorkerId, beat: &Heartbeat) {
        let host = self.host();
        host.holdings.lose(&beat.lost);
        host.look_at(&beat.lost);
        for pass in host.holdings.passes(&beat.woken) {
            pass.wake();
        }
        let orphans = host.holdings.disown(&beat.orphans);
        if !orphans.is_empty() {
            self.release(worker, orphans);
        }
    }

    /// Not through the heartbeat's own thread: it may wait for whoever holds these rows.
    fn release(&self, worker: WorkerId, orphans: Vec<(RunId, Epoch)>) {
        let host = Arc::clone(self.host());
        let release = move |writer: &mut dyn Writer| {
            let released = writer.release_orphans(worker, &orphans, host.clock.now())?;
            for (run, _) in &orphans {
                host.lost_pass(*run, "whose claim nobody here heard of");
            }
            if released > 0 {
                tracing::debug!(target: TARGET, released, "runs that nobody here knew of were handed back");
                host.announce_due();
            }
            Ok(())
        };
        // The next heartbeat finds them again if this fails, and need not wait if it is slow.
        let teller = Arc::clone(self.host());
        self.host().spawn("the release of orphans", async move {
            if let Err(error) = teller.committer().call("release_orphans", release).await {
                tracing::debug!(target: TARGET, %error, "orphans were not handed back yet");
            }
        });
    }
}

/// Why a worker is over, and what to do about it.
fn told(fate: Fate) -> (&'static str, &'static str) {
    const LOST: &str = "what was written since that copy was made is lost; compare what matters";
    match fate {
        Fate::DeclaredDead => (
            "it was declared dead",
            "if the process was not stopped meanwhile, give it more of its machine, or a longer `.lease(..)`",
        ),
        Fate::Gone => (
            "its row is gone, as where the database was set back to an older copy, or somebody deleted the row",
            LOST,
        ),
        Fate::SetBack => (
            "the database was set back to an older copy, as its row tells",
            LOST,
        ),
        Fate::Moved => (
            "the process went over to another server, which may know less than it does",
            "steps that were under way run again; after a failover that lost nothing, nothing else does",
        ),
        Fate::Replaced => (
            "its id is another life's, as where the database was set back to an older copy and gave it out again",
            LOST,
        ),
    }
}

/// Sleeps until then, or until the engine ends.
fn rest_until(host: &Host, until: Instant) {
    while !host.over.load(Ordering::Acquire) {
        let left = until.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return;
        }
        std::thread::park_timeout(left);
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "unknown".to_owned())
}
