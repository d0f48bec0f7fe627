//! A commit thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::aside::Failed;
use super::batch::Batch;
use super::desk::{Desk, Halted, SLOW};
use super::queue::{Call, Queue, Rest, RunReply, StartReply, Turn};
use crate::store::{RunCall, Start, StoreError, StoreErrorKind, StoreResult, Writer};
use crate::telemetry::{TARGET, Trouble};

/// Pauses between tries while the database takes nothing, at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A batch that failed so often in a row is taken apart.
const TRIES_MAX: u32 = 3;

/// So many failures in a row are of one batch that is being taken apart; more of them are of the database.
const OF_ONE_BATCH: u32 = 16;

pub(super) struct Pipeline {
    queue: Arc<Queue>,
    writer: Box<dyn Writer>,
    desk: Desk,
    trouble: Trouble,
    /// A batch that met a transient failure; the same bytes are tried again at this moment.
    stuck: Option<(Batch, Instant)>,
    /// Parts of a batch that failed, the next one last; nothing else is written before them.
    parts: Vec<Batch>,
    /// Tries that failed since the last one that did not.
    failures: u32,
    /// This thread tries what is set aside, too: there is only one writer.
    tries_aside: bool,
}

impl Pipeline {
    pub(super) fn new(
        queue: Arc<Queue>,
        writer: Box<dyn Writer>,
        desk: Desk,
        tries_aside: bool,
    ) -> Self {
        desk.aside().writer_begins();
        Self {
            queue,
            writer,
            desk,
            trouble: Trouble::default(),
            stuck: None,
            parts: Vec::new(),
            failures: 0,
            tries_aside,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let turn = self.queue.next_turn(self.rest());
            let closed = turn.closed;
            if turn.halted || self.serve(turn).is_err() {
                self.desk.halt();
                return;
            }
            let is_done = self.stuck.is_none() && self.parts.is_empty();
            if closed && is_done && !(self.tries_aside && self.desk.aside().waiting() > 0) {
                return;
            }
        }
    }

    /// How long the thread may wait for something new, and whether that may be plans.
    fn rest(&self) -> Rest {
        if let Some((_, at)) = &self.stuck {
            return Rest::Stuck(*at);
        }
        if !self.parts.is_empty() {
            return Rest::Stuck(Instant::now());
        }
        let aside = self.tries_aside.then(|| self.desk.aside().next_due());
        Rest::Idle(aside.flatten())
    }

    fn serve(&mut self, turn: Turn) -> Result<(), Halted> {
        for call in turn.alive {
            self.call_alive(call)?;
        }
        for call in turn.calls {
            self.call(call)?;
            self.keep_alive()?;
        }
        if !turn.of_runs.is_empty() {
            self.call_runs(turn.of_runs)?;
        }
        if !turn.starts.is_empty() {
            // While something waits for a lock already, do not wait for that lock once more.
            let may_wait = !self.desk.patience().is_busy();
            self.start(turn.starts, may_wait)?;
        }
        let now = Instant::now();
        let batch = match (self.stuck.take(), self.parts.pop()) {
            (Some((batch, at)), part) if at > now => {
                self.stuck = Some((batch, at));
                self.parts.extend(part);
                Batch::default()
            }
            (Some((batch, _)), part) => {
                self.parts.extend(part);
                batch
            }
            (None, Some(part)) => part,
            (None, None) => Batch::fold(self.desk.aside().admit(turn.plans)),
        };
        if !batch.is_empty() {
            self.write(batch)?;
        }
        if self.tries_aside
            && let Some(batch) = self.desk.aside().take_due()
        {
            self.desk.try_again(self.writer.as_mut(), batch)?;
        }
        Ok(())
    }

    fn call(&mut self, mut call: Call) -> Result<(), Halted> {
        self.desk.before(call.name)?;
        let is_last = !self.desk.patience().is_served();
        if call.work.run(self.writer.as_mut(), is_last) {
            return self.desk.after(call.name);
        }
        match self.desk.patience().take(call) {
            Ok(()) => Ok(()),
            // It has come to its end just now.
            Err(call) => self.call_alive(call),
        }
    }

    /// What keeps the worker alive is left to nobody else.
    fn call_alive(&mut self, mut call: Call) -> Result<(), Halted> {
        self.desk.before(call.name)?;
        call.work.run(self.writer.as_mut(), true);
        self.desk.after(call.name)
    }

    /// The heartbeat waits for no more than one other call.
    fn keep_alive(&mut self) -> Result<(), Halted> {
        while let Some(call) = self.queue.take_alive() {
            self.call_alive(call)?;
        }
        Ok(())
    }

    fn call_runs(&mut self, mut calls: Vec<(RunCall, RunReply)>) -> Result<(), Halted> {
        // Somebody keeps something locked: who needs that is found without waiting for it once
        // more.
        if self.desk.patience().is_busy() {
            calls = self.leave_held_up(calls);
        }
        if calls.is_empty() {
            return Ok(());
        }
        let (calls, replies): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        let Err((replies, error)) = self.call_batch(&calls, replies)? else {
            return Ok(());
        };
        let calls: Vec<_> = calls.into_iter().zip(replies).collect();
        if error.is_locked() && calls.len() > 1 && self.desk.patience().is_served() {
            let count = calls.len();
            let free = self.leave_held_up(calls);
            return match free.len() < count {
                true => self.call_runs(free),
                false => self.call_singly(free, &error),
            };
        }
        self.call_singly(calls, &error)
    }

    /// Leaves out those whose runs somebody else has locked just now; they wait elsewhere.
    fn leave_held_up(&mut self, calls: Vec<(RunCall, RunReply)>) -> Vec<(RunCall, RunReply)> {
        let (calls, replies): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        // If not even this is answered, the calls themselves say why.
        let held_up = self.writer.calls_held_up(&calls).ok().flatten();
        let held_up = held_up.unwrap_or_default();
        let calls = calls.into_iter().zip(replies).enumerate();
        let free = calls.filter_map(|(place, (call, reply))| match held_up.get(place) {
            Some(true) => self.desk.patience().take_of_run(call, reply).err(),
            _ => Some((call, reply)),
        });
        free.collect()
    }

    /// One that cannot be done must not take the others with it; a database that takes nothing is
    /// not asked for each of them.
    fn call_singly(
        &mut self,
        calls: Vec<(RunCall, RunReply)>,
        error: &StoreError,
    ) -> Result<(), Halted> {
        let mut failures = 0;
        // Nor is anything asked twice that may be done already.
        let is_over = calls.len() == 1 || error.may_have_happened();
        for (call, reply) in calls {
            if is_over || failures >= TRIES_MAX {
                self.refuse_call(call, reply, error);
                continue;
            }
            let asked = std::slice::from_ref(&call);
            if let Err((replies, error)) = self.call_batch(asked, vec![reply])? {
                failures += u32::from(error.is_transient());
                for reply in replies {
                    self.refuse_call(call.clone(), reply, &error);
                }
            }
            self.keep_alive()?;
        }
        Ok(())
    }

    /// Answers that it was not done, unless it waits elsewhere for its lock.
    fn refuse_call(&self, call: RunCall, reply: RunReply, error: &StoreError) {
        let refused = match error.is_locked() {
            true => self.desk.patience().take_of_run(call, reply).err(),
            false => Some((call, reply)),
        };
        if let Some((_, reply)) = refused {
            reply(Err(error.clone()));
        }
    }

    /// Gives the replies back if nothing was done.
    fn call_batch(
        &mut self,
        calls: &[RunCall],
        replies: Vec<RunReply>,
    ) -> Result<Result<(), (Vec<RunReply>, StoreError)>, Halted> {
        let name = calls.first().map_or("wake", RunCall::name);
        self.desk.before(name)?;
        match self.writer.call_runs(calls, self.desk.now()) {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    reply(Ok(answer));
                }
                self.desk.after(name)?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err((replies, error))),
        }
    }

    fn start(&mut self, starts: Vec<(Start, StartReply)>, may_wait: bool) -> Result<(), Halted> {
        let (starts, replies): (Vec<_>, Vec<_>) = starts.into_iter().unzip();
        self.desk.before("start")?;
        let now = self.desk.now();
        let started = match may_wait {
            true => self.writer.start(&starts, now),
            false => self.writer.start_at_once(&starts, now),
        };
        match started {
            Ok(started) => {
                self.desk.after("start")?;
                for (reply, started) in replies.into_iter().zip(started) {
                    reply(Ok(started));
                }
            }
            Err(error) if error.is_locked() && self.desk.patience().is_served() => {
                self.leave_locked(starts.into_iter().zip(replies).collect(), &error)?;
            }
            // One start that cannot be written must not take the others with it.
            Err(error) if starts.len() > 1 && !error.is_transient() && !error.ends_the_engine() => {
                for (start, reply) in starts.into_iter().zip(replies) {
                    self.start(vec![(start, reply)], may_wait)?;
                    self.keep_alive()?;
                }
            }
            Err(error) => {
                for reply in replies {
                    reply(Err(error.clone()));
                }
                self.desk.survive(&error)?;
            }
        }
        Ok(())
    }

    /// Finds by halves the starts whose keys an open transaction elsewhere has inserted. They wait
    /// in [`Patience`](super::patience::Patience); the others are written here.
    fn leave_locked(
        &mut self,
        mut starts: Vec<(Start, StartReply)>,
        error: &StoreError,
    ) -> Result<(), Halted> {
        if starts.len() > 1 {
            let second = starts.split_off(starts.len() / 2);
            for half in [starts, second] {
                self.start(half, false)?;
                self.keep_alive()?;
            }
            return Ok(());
        }
        for (start, reply) in starts {
            if let Err(reply) = self.desk.patience().take_start(start, reply) {
                reply(Err(error.clone()));
            }
        }
        Ok(())
    }

    fn write(&mut self, batch: Batch) -> Result<(), Halted> {
        self.desk.before("apply")?;
        let begun = Instant::now();
        match self.writer.apply(&batch.plans, self.desk.now()) {
            Ok(applied) => {
                self.failures = 0;
                if self.trouble.end("commits succeed again") {
                    self.queue.set_obstacle(None);
                    self.desk.aside().hurry();
                }
                self.desk.aside().note_written();
                self.desk.after("apply")?;
                self.desk.settle(batch, applied);
            }
            Err(error) if error.kind == StoreErrorKind::Refused => {
                // The database answers again, if it did not: it is the bytes now.
                self.failures = 0;
                self.queue.set_obstacle(None);
                self.bisect(batch, &error);
            }
            Err(error) => {
                self.desk.survive(&error)?;
                let what = "a commit failed; trying the same bytes again";
                match error.is_locked() {
                    // Two writers of one fan-out wait for each other's rows now and then.
                    true => self.trouble.tell_if_it_lasts(&error, what),
                    false => self.trouble.tell(&error, what),
                }
                self.failures += 1;
                self.queue
                    .set_obstacle(error.needs_mending().then(|| error.clone()));
                self.keep(batch, &error, begun.elapsed());
            }
        }
        Ok(())
    }

    /// The unit of isolation is a run: finds the one whose bytes the database refuses.
    fn bisect(&mut self, batch: Batch, error: &StoreError) {
        if batch.plans.len() > 1 {
            let (first, second) = batch.halve();
            self.parts.extend([second, first]);
            return;
        }
        self.desk.refuse(batch, error.to_string());
    }

    /// Keeps a batch that was not written for its next try, whole or in parts; sets aside what must not hold up others.
    fn keep(&mut self, mut batch: Batch, error: &StoreError, took: Duration) {
        batch.failures += 1;
        // The whole database is at fault.
        if error.needs_mending() {
            return self.try_later(batch);
        }
        if took >= SLOW {
            match self.writer.held_up(&batch.plans) {
                Ok(Some(held_up)) => return self.part(batch, error, &held_up),
                Ok(None) => {}
                // It does not even look.
                Err(_) => return self.try_later(batch),
            }
        }
        if batch.failures < TRIES_MAX {
            return self.try_later(batch);
        }
        if batch.plans.len() == 1 {
            self.set_aside(batch);
        } else {
            // It has failed often enough; each part is tried once. Its pause tells an outage from one bad plan.
            let (first, second) = batch.halve();
            self.parts.push(second);
            self.try_later(first);
        }
    }

    /// Goes on without the plans that wait for somebody else. A batch that takes too long goes on in single plans,
    /// where nobody waits for the slow one: halving it would cost that time again for each half.
    fn part(&mut self, batch: Batch, error: &StoreError, held_up: &[bool]) {
        let is_free = !held_up.contains(&true);
        if is_free && error.kind != StoreErrorKind::Slow && batch.failures < TRIES_MAX {
            return self.try_later(batch);
        }
        let (held_up, free) = batch.part(|place| is_free || held_up[place]);
        for single in held_up.singles() {
            self.set_aside(single);
        }
        if !free.is_empty() {
            self.parts.push(free);
        }
    }

    fn set_aside(&self, batch: Batch) {
        for fence in batch.fences() {
            tracing::debug!(target: TARGET, run = %fence.run, "its writes are set aside; others go on");
        }
        self.desk.aside().set_aside(batch);
    }

    fn try_later(&mut self, batch: Batch) {
        let doubled = |n: u32| Duration::from_millis(1 << n.min(10)).min(PAUSE_MAX);
        let pause = match self.failures {
            few if few <= TRIES_MAX => doubled(few),
            some if some <= OF_ONE_BATCH => Duration::ZERO,
            many => doubled(many - OF_ONE_BATCH),
        };
        self.stuck = Some((batch, Instant::now() + pause));
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.desk.aside().writer_ended();
    }
}

/// Tries what is set aside, where writers work beside each other: over a session of its own, which is opened when it
/// is needed.
pub(super) fn try_aside(desk: Desk, open: impl Fn() -> StoreResult<Box<dyn Writer>>) {
    let mut trouble = Trouble::default();
    let aside = Arc::clone(desk.aside());
    let mut writer = None;
    while let Some(batch) = aside.await_due() {
        let opened = match writer.take() {
            Some(writer) => Ok(writer),
            None => open(),
        };
        match opened {
            Ok(mut opened) => {
                if desk.try_again(opened.as_mut(), batch).is_err() {
                    desk.halt();
                    return;
                }
                // Given back where nothing is left to do: a server may have few sessions.
                if aside.waiting() > 0 {
                    writer = Some(opened);
                }
            }
            Err(error) => {
                trouble.tell(&error, "no session for writes that are set aside");
                // Never given back: only what is too slow is.
                for single in batch.singles() {
                    drop(aside.failed(single, &Failed::Away));
                }
            }
        }
    }
}
