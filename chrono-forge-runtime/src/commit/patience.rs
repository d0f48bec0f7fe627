//! Calls that wait for what somebody else has locked, while other calls go on.
//!
//! Where rows are locked one by one, a call may need one that a transaction elsewhere keeps for
//! long. The thread that calls go through waits for it as briefly as a batch would. Then the call
//! comes here, to a thread with a session of its own, which is opened when there is something. What
//! is asked of runs is asked again once nobody holds their rows, and answered with an error when
//! that takes too long: nothing waits for a lock meanwhile, however many runs are locked. Any other
//! call is tried once more, by a session that may wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::desk::{Desk, Halted};
use super::queue::{Call, RunReply};
use crate::error::STAYS_LOCKED;
use crate::store::{RunCall, StoreError, StoreErrorKind, StoreResult, Writer};

/// How long a call waits for a run that is locked: as long as for a database that is away.
const WAITS_MAX: Duration = Duration::from_secs(5);

/// Between two looks at the locked runs.
const LOOK: Duration = Duration::from_millis(50);

/// What waits in a process.
#[derive(Default)]
pub(super) struct Patience {
    state: Mutex<State>,
    moved: Condvar,
    /// How much waits. While nothing does, nobody asks for the lock.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    of_runs: Vec<OfRun>,
    /// When the rows of these runs are looked at again.
    look_at: Option<Instant>,
    calls: VecDeque<Call>,
    /// A thread serves what comes.
    is_served: bool,
    halted: bool,
}

/// Something that is asked of a run which is locked.
pub(super) struct OfRun {
    call: RunCall,
    reply: RunReply,
    until: Instant,
}

enum Turn {
    Call(Call),
    OfRuns(Vec<OfRun>),
}

impl Patience {
    /// From now on there is somebody who waits.
    pub(super) fn begin(&self) {
        self.lock().is_served = true;
    }

    /// Whether anything may wait here.
    pub(super) fn is_served(&self) -> bool {
        self.lock().is_served
    }

    /// Whether anything waits here just now: then somebody has locked something for long.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Takes a call, or gives it back where nobody waits.
    pub(super) fn take(&self, call: Call) -> Result<(), Call> {
        let mut state = self.lock();
        if !state.is_served {
            return Err(call);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        state.calls.push_back(call);
        drop(state);
        self.moved.notify_all();
        Ok(())
    }

    /// The same for what is asked of a locked run.
    pub(super) fn take_of_run(
        &self,
        call: RunCall,
        reply: RunReply,
    ) -> Result<(), (RunCall, RunReply)> {
        let mut state = self.lock();
        if !state.is_served {
            return Err((call, reply));
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + WAITS_MAX;
        state.of_runs.push(OfRun { call, reply, until });
        state.look_at.get_or_insert(Instant::now() + LOOK);
        drop(state);
        self.moved.notify_all();
        Ok(())
    }

    /// Nothing more comes. What waits has one more look, and is answered.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_served = false;
        state.look_at = Some(Instant::now());
        drop(state);
        self.moved.notify_all();
    }

    /// Drops what waits, unanswered.
    pub(super) fn halt(&self) {
        let mut state = self.lock();
        let left = std::mem::take(&mut *state);
        state.halted = true;
        drop(state);
        self.waiting.store(0, Ordering::Relaxed);
        // Dropping a reply wakes its caller, which may come back for the lock.
        drop(left);
        self.moved.notify_all();
    }

    /// What is to be tried next, as soon as there is something; `None` when there never will be.
    fn await_turn(&self) -> Option<Turn> {
        let mut state = self.lock();
        loop {
            let is_empty = state.of_runs.is_empty() && state.calls.is_empty();
            if state.halted || is_empty && !state.is_served {
                return None;
            }
            let now = Instant::now();
            let look_at = state.look_at.filter(|_| !state.of_runs.is_empty());
            if look_at.is_some_and(|at| at <= now) {
                state.look_at = None;
                return Some(Turn::OfRuns(std::mem::take(&mut state.of_runs)));
            }
            if let Some(call) = state.calls.pop_front() {
                return Some(Turn::Call(call));
            }
            state = match look_at {
                Some(at) => {
                    let waited = self.moved.wait_timeout(state, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let woken = self.moved.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// These are still locked. Who has waited long enough is told so.
    fn still_locked(&self, of_runs: Vec<OfRun>, error: Option<&StoreError>) {
        let now = Instant::now();
        let mut state = self.lock();
        let is_over = |it: &OfRun| !state.is_served || it.until <= now;
        let (over, kept): (Vec<_>, Vec<_>) = of_runs.into_iter().partition(is_over);
        if !state.halted && !kept.is_empty() {
            state.of_runs.extend(kept);
            state.look_at.get_or_insert(now + LOOK);
        }
        drop(state);
        self.answered(over.len());
        for OfRun { call, reply, .. } in over {
            let locked = || StoreError::new(call.name(), StoreErrorKind::Transient, STAYS_LOCKED);
            reply(Err(error.cloned().unwrap_or_else(locked)));
        }
    }

    fn answered(&self, count: usize) {
        let less = |waiting: usize| Some(waiting.saturating_sub(count));
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        // A halt may have come before.
        let _ = self.waiting.fetch_update(set, fetch, less);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock, so a poisoned one is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves what waits, until nothing more comes.
pub(super) fn wait_for_locks(desk: &Desk, open: impl Fn() -> StoreResult<Box<dyn Writer>>) {
    let patience = Arc::clone(desk.patience());
    let mut writer = None;
    while let Some(turn) = patience.await_turn() {
        let opened = match writer.take() {
            Some(writer) => Ok(writer),
            None => open(),
        };
        let done = match (opened, turn) {
            (Ok(mut opened), turn) => {
                let done = serve(desk, opened.as_mut(), turn);
                // Given back where nothing is left to do: a server may have few sessions.
                if patience.is_busy() {
                    writer = Some(opened);
                }
                done
            }
            (Err(error), Turn::Call(call)) => {
                patience.answered(1);
                call.work.refuse(error);
                Ok(())
            }
            (Err(error), Turn::OfRuns(of_runs)) => {
                patience.still_locked(of_runs, Some(&error));
                Ok(())
            }
        };
        if done.is_err() {
            desk.halt();
            return;
        }
    }
}

fn serve(desk: &Desk, writer: &mut dyn Writer, turn: Turn) -> Result<(), Halted> {
    let of_runs = match turn {
        Turn::Call(mut call) => {
            desk.before(call.name)?;
            call.work.run(writer, true);
            desk.patience().answered(1);
            return desk.after(call.name);
        }
        Turn::OfRuns(of_runs) => of_runs,
    };
    let calls: Vec<RunCall> = of_runs.iter().map(|it| it.call.clone()).collect();
    let held_up = match writer.calls_held_up(&calls) {
        Ok(held_up) => held_up.unwrap_or_default(),
        Err(error) => {
            desk.patience().still_locked(of_runs, Some(&error));
            return Ok(());
        }
    };
    let mut locked = Vec::new();
    for (place, it) in of_runs.into_iter().enumerate() {
        match held_up.get(place) {
            Some(true) => locked.push(it),
            _ => locked.extend(ask(desk, writer, it)?),
        }
    }
    desk.patience().still_locked(locked, None);
    Ok(())
}

/// Asks it in a transaction of its own; given back if the run was locked once more.
fn ask(desk: &Desk, writer: &mut dyn Writer, it: OfRun) -> Result<Option<OfRun>, Halted> {
    let name = it.call.name();
    desk.before(name)?;
    let answer = writer.call_runs(std::slice::from_ref(&it.call), desk.now());
    let answer = match answer {
        Err(error) if error.is_locked() => return Ok(Some(it)),
        answer => answer.map(|mut answers| answers.pop()),
    };
    desk.patience().answered(1);
    match answer {
        Ok(Some(answer)) => {
            (it.reply)(Ok(answer));
            desk.after(name)?;
        }
        // One call has one answer.
        Ok(None) => {}
        Err(error) => (it.reply)(Err(error)),
    }
    Ok(None)
}
