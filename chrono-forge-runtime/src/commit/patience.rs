//! Calls that wait for what somebody else has locked, while other calls go on.
//!
//! Where rows are locked one by one, a call may need one that a transaction elsewhere keeps for
//! long. The thread that calls go through waits for it as briefly as a batch would. Then the call
//! comes here, to a thread with a session of its own, which is opened when there is something. What
//! is asked of runs is asked again once nobody holds their rows. A start, whose key an open
//! transaction elsewhere has inserted, is tried every 50 ms until that has ended. Both get an error
//! when it takes too long, and neither waits for a lock meanwhile, however many are held. Any other
//! call is tried once more, by a session that may wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::desk::{Desk, Halted};
use super::queue::{Call, RunReply, StartReply};
use crate::error::STAYS_LOCKED;
use crate::store::{RunCall, Start, StoreError, StoreErrorKind, StoreResult, Writer};

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
    held_up: Vec<HeldUp>,
    /// When to look again whether these are still locked.
    look_at: Option<Instant>,
    calls: VecDeque<Call>,
    /// A thread serves what comes.
    is_served: bool,
    halted: bool,
}

/// Something that waits until nobody else has locked what it needs.
struct HeldUp {
    asked: Asked,
    until: Instant,
}

/// What was asked, and who waits for the answer.
enum Asked {
    OfRun(RunCall, RunReply),
    Start(Box<Start>, StartReply),
}

impl Asked {
    /// Answers with this error, or that a lock is in the way.
    fn refuse(self, error: Option<&StoreError>) {
        let locked =
            |name| StoreError::new(name, StoreErrorKind::Transient, STAYS_LOCKED.to_owned());
        match self {
            Self::OfRun(call, reply) => {
                reply(Err(error.cloned().unwrap_or_else(|| locked(call.name()))));
            }
            Self::Start(_, reply) => {
                reply(Err(error.cloned().unwrap_or_else(|| locked("start"))));
            }
        }
    }
}

enum Turn {
    Call(Call),
    HeldUp(Vec<HeldUp>),
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
        match self.take_held_up(Asked::OfRun(call, reply)) {
            Err(Asked::OfRun(call, reply)) => Err((call, reply)),
            _ => Ok(()),
        }
    }

    /// The same for a start whose key an open transaction elsewhere has inserted.
    pub(super) fn take_start(&self, start: Start, reply: StartReply) -> Result<(), StartReply> {
        match self.take_held_up(Asked::Start(Box::new(start), reply)) {
            Err(Asked::Start(_, reply)) => Err(reply),
            _ => Ok(()),
        }
    }

    fn take_held_up(&self, asked: Asked) -> Result<(), Asked> {
        let mut state = self.lock();
        if !state.is_served {
            return Err(asked);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let until = now + WAITS_MAX;
        state.held_up.push(HeldUp { asked, until });
        state.look_at.get_or_insert(now + LOOK);
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
            let is_empty = state.held_up.is_empty() && state.calls.is_empty();
            if state.halted || is_empty && !state.is_served {
                return None;
            }
            let now = Instant::now();
            let look_at = state.look_at.filter(|_| !state.held_up.is_empty());
            if look_at.is_some_and(|at| at <= now) {
                state.look_at = None;
                return Some(Turn::HeldUp(std::mem::take(&mut state.held_up)));
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
    fn still_locked(&self, held_up: Vec<HeldUp>, error: Option<&StoreError>) {
        let now = Instant::now();
        let mut state = self.lock();
        let is_over = |it: &HeldUp| !state.is_served || it.until <= now;
        let (over, kept): (Vec<_>, Vec<_>) = held_up.into_iter().partition(is_over);
        if !state.halted && !kept.is_empty() {
            state.held_up.extend(kept);
            state.look_at.get_or_insert(now + LOOK);
        }
        drop(state);
        self.answered(over.len());
        for held_up in over {
            held_up.asked.refuse(error);
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
            (Err(error), Turn::HeldUp(held_up)) => {
                patience.still_locked(held_up, Some(&error));
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
    let waiting = match turn {
        Turn::Call(mut call) => {
            desk.before(call.name)?;
            call.work.run(writer, true);
            desk.patience().answered(1);
            return desk.after(call.name);
        }
        Turn::HeldUp(waiting) => waiting,
    };
    let calls = waiting.iter().filter_map(|it| match &it.asked {
        Asked::OfRun(call, _) => Some(call.clone()),
        Asked::Start(..) => None,
    });
    let calls: Vec<RunCall> = calls.collect();
    let held_up = match calls.is_empty() {
        true => Ok(None),
        false => writer.calls_held_up(&calls),
    };
    let mut held_up = match held_up {
        Ok(held_up) => held_up.unwrap_or_default().into_iter(),
        Err(error) => {
            desk.patience().still_locked(waiting, Some(&error));
            return Ok(());
        }
    };
    let mut locked = Vec::new();
    for HeldUp { asked, until } in waiting {
        let asked = match asked {
            Asked::OfRun(call, reply) if held_up.next() == Some(true) => {
                Some(Asked::OfRun(call, reply))
            }
            Asked::OfRun(call, reply) => ask(desk, writer, call, reply)?,
            Asked::Start(start, reply) => begin(desk, writer, start, reply)?,
        };
        locked.extend(asked.map(|asked| HeldUp { asked, until }));
    }
    desk.patience().still_locked(locked, None);
    Ok(())
}

/// Asks it in a transaction of its own; given back if the run was locked once more.
fn ask(
    desk: &Desk,
    writer: &mut dyn Writer,
    call: RunCall,
    reply: RunReply,
) -> Result<Option<Asked>, Halted> {
    let name = call.name();
    desk.before(name)?;
    let answer = writer.call_runs(std::slice::from_ref(&call), desk.now());
    let answer = match answer {
        Err(error) if error.is_locked() => return Ok(Some(Asked::OfRun(call, reply))),
        answer => answer.map(|mut answers| answers.pop()),
    };
    answered(desk, name, answer, reply)
}

/// Starts it; given back if the transaction that has inserted its key is still open.
fn begin(
    desk: &Desk,
    writer: &mut dyn Writer,
    start: Box<Start>,
    reply: StartReply,
) -> Result<Option<Asked>, Halted> {
    desk.before("start")?;
    let answer = writer.start_at_once(std::slice::from_ref(&*start), desk.now());
    let answer = match answer {
        Err(error) if error.is_locked() => return Ok(Some(Asked::Start(start, reply))),
        answer => answer.map(|mut answers| answers.pop()),
    };
    answered(desk, "start", answer, reply)
}

/// Hands the answer over; it no longer waits here.
fn answered<T>(
    desk: &Desk,
    name: &'static str,
    answer: StoreResult<Option<T>>,
    reply: Box<dyn FnOnce(StoreResult<T>) + Send>,
) -> Result<Option<Asked>, Halted> {
    desk.patience().answered(1);
    match answer {
        Ok(Some(answer)) => {
            reply(Ok(answer));
            desk.after(name)?;
        }
        // What is asked once has one answer.
        Ok(None) => {}
        Err(error) => reply(Err(error)),
    }
    Ok(None)
}
