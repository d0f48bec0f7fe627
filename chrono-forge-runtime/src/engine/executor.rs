//! Takes one run through one pass: recall, drive, conclude.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::driver;
use super::host::Host;
use super::hub::Settled;
use super::outcome::{Decision, Ending, FailedBody, decide};
use super::panics;
use super::pass::{Failure, History, Pass, Thrown};
use super::report::{Ended, Fault};
use crate::clock::{after, ceil_to_micros, until};
use crate::commit::Backlog;
use crate::definition::{Definition, PassHandle};
use crate::error::{DefinitionError, PARAMETERS};
use crate::record::{ClaimedRun, Due, ErrorRow, Json, Level, RetryCounts, RunEnd, RunState};
use crate::retry::Tries;
use crate::store::{StoreErrorKind, Writer};

/// Results up to this size are loaded with their rows; larger ones when they are delivered.
const RESULT_BYTES_EAGER: u64 = 4 << 10;

/// With more unwritten plans than this, slots wait, so that memory grows with concurrency only. Urgent runs
/// wait for the plans of their own lane alone: bodies may be faster than commits there, too.
const BACKLOG_MAX: usize = 4_000;

/// The pause after a suspect could not be noted; the database may come back.
const NOTE_PAUSE: Duration = Duration::from_millis(50);

/// A run that is left to others is due again after one part in so many of its age, within these
/// bounds.
const GIVEN_BACK_PART: u32 = 4;
const GIVEN_BACK_MIN: Duration = Duration::from_secs(1);
const GIVEN_BACK_MAX: Duration = Duration::from_secs(60);

/// One slot: executes runs until its queue has none left.
pub async fn work_slot(host: Arc<Host>, queue: String) {
    let mut next = host.slots.take_first(&queue);
    while let Some(run) = next {
        if host.closing.load(Ordering::Acquire) {
            // Claimed while the engine was told to stop: handed back unbegun, with the worker's row.
            host.slots.unbegun(&queue);
            next = host.slots.take(&queue);
            continue;
        }
        let returned = run.level.is_returning();
        execute(&host, run).await;
        if host.slots.finished(&queue, returned) {
            host.work.notify_one();
        }
        while is_behind(&host, &queue) && !host.is_over() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::task::coop::consume_budget().await;
        next = host.slots.take(&queue);
    }
    if host.slots.has_more_due(&queue) {
        host.work.notify_one();
    }
}

/// A pass under way. If its task ends before it, its run is held no longer: it is claimed again.
struct Underway<'a>(&'a Arc<Pass>);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.lose();
        abandon(self.0);
    }
}

/// Whether commits are so far behind that the next body waits for them.
fn is_behind(host: &Host, queue: &str) -> bool {
    let Backlog { urgent, others } = host.committer().backlog();
    urgent > BACKLOG_MAX || urgent + others > BACKLOG_MAX && !host.slots.has_urgent(queue)
}

async fn execute(host: &Arc<Host>, run: ClaimedRun) {
    let pass = Pass::new(run, Arc::clone(host));
    if !host.holdings.attach(&pass) {
        return;
    }
    let underway = Underway(&pass);
    let ending = match host.registry.get(&pass.run.workflow) {
        _ if !is_noted(&pass).await => Ending::Lost,
        Some(definition) => perform(&pass, definition).await,
        // Claims ask for served names only; a row that came otherwise is handed back as an orphan.
        None => Ending::Lost,
    };
    conclude(&pass, ending);
    std::mem::forget(underway);
}

/// A suspect is noted before it begins, so that the death of this worker says something of it. `false` when it was
/// lost before that was written.
async fn is_noted(pass: &Arc<Pass>) -> bool {
    let from = pass.host.config.crashes.quarantine_from;
    if pass.run.crashes < from {
        return true;
    }
    loop {
        let host = Arc::clone(&pass.host);
        let note = move |writer: &mut dyn Writer| match host.holdings.worker() {
            Some(worker) => writer.note_suspects(worker, &host.holdings.begun(from)),
            None => Ok(()),
        };
        let noted = pass.host.committer().call("note_suspects", note).await;
        if pass.ledger().lost {
            return false;
        }
        match noted {
            Ok(()) => return true,
            Err(error) if error.kind == StoreErrorKind::Closed => return false,
            Err(error) => pass.host.tell_read(&error, pass.run.id),
        }
        tokio::time::sleep(NOTE_PAUSE).await;
    }
}

async fn perform(pass: &Arc<Pass>, definition: &'static Definition) -> Ending {
    let (report, limits) = (&pass.host.report, pass.host.config.crashes);
    report.began(&pass.run);
    if pass.run.crashes >= limits.quarantine_from {
        report.quarantined(&pass.run, limits);
    }
    if !pass.run.fresh {
        let run = pass.run.id;
        let rows = driver::read(pass, move |store| store.history(run, RESULT_BYTES_EAGER)).await;
        let Some(rows) = rows else {
            let fatal = pass.ledger().broken_rule();
            return fatal.map_or(Ending::Lost, Ending::Broken);
        };
        pass.ledger().remember(History::new(rows));
    }
    let handle = PassHandle(Arc::clone(pass) as _);
    let mut body = match panics::catch(|| (definition.run)(handle)) {
        Ok(body) => body,
        Err(failure) => return Ending::Panicked(failure),
    };
    let ending = driver::drive(pass, &mut body).await;
    // From here on dropped operations stay as they are: the engine drops them, not the body.
    pass.ledger().detach();
    match pass.scope(|| panics::catch(move || drop(body))) {
        Err(failure) if !matches!(ending, Ending::Lost | Ending::Broken(_)) => {
            Ending::Panicked(failure)
        }
        _ => ending,
    }
}

/// Writes what the ending means for the run, together with what the pass has not yet written.
fn conclude(pass: &Arc<Pass>, ending: Ending) {
    let now = pass.now();
    match ending {
        Ending::Lost => abandon(pass),
        Ending::Parked {
            wake_at,
            to_retry,
            dropped_foreign,
        } => {
            pass.ledger().returns = to_retry;
            pass.host.report.parked(&pass.run, wake_at);
            end(
                pass,
                RunEnd::Parked {
                    wake_at,
                    dropped_foreign,
                },
                Vec::new(),
                None,
                None,
            );
        }
        Ending::Broken(error) => broken(pass, &error, now),
        Ending::Returned(Ok(output)) => completed(pass, output, now),
        Ending::Returned(Err(thrown)) => failed(pass, thrown, now),
        Ending::Panicked(failure) => failed(pass, failure.into(), now),
    }
}

fn completed(pass: &Arc<Pass>, output: Json, now: Timestamp) {
    let unmerged = pass.ledger().unmerged().join("`, `");
    if !unmerged.is_empty() {
        let error = DefinitionError::UnmergedBranch {
            names: format!("`{unmerged}`"),
        };
        return broken(pass, &error, now);
    }
    if let Err(error) = pass.check_size(|| "the workflow's output".to_owned(), &output) {
        return broken(pass, &error, now);
    }
    let settled = Settled {
        state: RunState::Completed,
        output: Some(output.clone()),
    };
    end(
        pass,
        RunEnd::Completed { output, at: now },
        Vec::new(),
        Some(settled),
        None,
    );
}

/// Fails the run for a broken rule. One that only cannot read what is stored waits for a build that
/// can: a deploy that is half way, or was taken back, costs no run anything.
pub(super) fn broken(pass: &Arc<Pass>, error: &DefinitionError, now: Timestamp) {
    let failure = Failure::rule(error);
    if let DefinitionError::Undecodable {
        place, type_name, ..
    } = error
    {
        return match *type_name == PARAMETERS && pass.is_untouched() {
            true => give_back(pass, &failure, now),
            false => unreadable(pass, place, &failure, now),
        };
    }
    fail_for_good(pass, &failure, None, None, now);
}

/// Leaves a run whose arguments cannot be read to others: it may be another application's, which
/// has a workflow of this name, or of a newer build, and nothing is recorded yet that would be this
/// one's.
fn give_back(pass: &Arc<Pass>, failure: &Failure, now: Timestamp) {
    let pause = until(pass.run.created_at, now) / GIVEN_BACK_PART;
    let next = after(now, pause.clamp(GIVEN_BACK_MIN, GIVEN_BACK_MAX));
    pass.host
        .report
        .gave_back(&pass.run, &fault_of(failure), next);
    let parked = RunEnd::Parked {
        wake_at: Some(Due::At(next)),
        dropped_foreign: false,
    };
    end(pass, parked, Vec::new(), None, None);
}

/// Stalls the run at what cannot be read; nothing of it is lost, and `retry` looks again.
fn unreadable(pass: &Arc<Pass>, what: &str, failure: &Failure, now: Timestamp) {
    let attempts = pass.run.attempts + 1;
    let told = Ended::Unreadable {
        place: what.into(),
        fault: fault_of(failure),
    };
    let stalled = RunEnd::Stalled {
        step_name: what.into(),
        attempts: Some(attempts),
        at: now,
    };
    let settled = Settled {
        state: RunState::Stalled,
        output: None,
    };
    let errors = vec![error_row(pass, failure, attempts, now)];
    end(pass, stalled, errors, Some(settled), Some(told));
}

/// Asks the policies about a failed body. They are user code: where they panic, nothing is tried again.
fn judge(pass: &Arc<Pass>, thrown: Thrown) -> (Failure, Decision, Option<Tries>) {
    let (last_failed, progressed) = {
        let ledger = pass.ledger();
        let last = ledger.last_outcome.as_ref().filter(|last| last.failed);
        (last.map(|last| last.step_name.clone()), ledger.progressed)
    };
    let counts = if progressed {
        RetryCounts::default()
    } else {
        RetryCounts::of_text(&pass.run.retry_counts)
    };
    let before = counts.clone();
    let failure = thrown.failure.clone();
    let decided = panics::catch(|| {
        decide(FailedBody {
            last_failed: last_failed.as_ref(),
            thrown: &thrown,
            policies: pass.body_policies(),
            counts,
            spread: fastrand::f64(),
        })
    });
    match decided {
        Ok((decision, answer)) => (failure.lent(answer.class), decision, answer.tries),
        Err(panic) => (
            failure.undecided(panic),
            Decision::Fail { counts: before },
            None,
        ),
    }
}

fn failed(pass: &Arc<Pass>, thrown: Thrown, now: Timestamp) {
    if let Some(entry) = thrown.unreadable_entry() {
        let what = format!("context entry {entry:?}");
        return unreadable(pass, &what, &thrown.failure, now);
    }
    let (failure, decision, tries) = judge(pass, thrown);
    match decision {
        Decision::Stall { step_name } => {
            let settled = Settled {
                state: RunState::Stalled,
                output: None,
            };
            let told = stalled_at(pass, &step_name);
            end(
                pass,
                RunEnd::Stalled {
                    step_name,
                    attempts: None,
                    at: now,
                },
                Vec::new(),
                Some(settled),
                Some(told),
            );
        }
        Decision::Retry { delay, counts } => {
            let attempts = pass.run.attempts + 1;
            // What waits for no time is tried again whatever the clock says.
            let wake_at = match delay.is_zero() {
                true => Due::AtOnce { since: now },
                false => Due::At(ceil_to_micros(after(now, delay))),
            };
            let retry_counts = counts.to_json();
            let retrying = RunEnd::Retrying {
                wake_at,
                attempts,
                retry_counts,
            };
            let told = Ended::Rerun {
                attempt: attempts,
                tries,
                fault: fault_of(&failure),
                next: wake_at.since(),
            };
            end(
                pass,
                retrying,
                vec![error_row(pass, &failure, attempts, now)],
                None,
                Some(told),
            );
        }
        Decision::Fail { counts } => fail_for_good(pass, &failure, tries, Some(counts), now),
    }
}

/// What is told of the record that gave up, which the body received last.
fn stalled_at(pass: &Pass, step_name: &Arc<str>) -> Ended {
    let ledger = pass.ledger();
    let last = ledger.last_outcome.as_ref();
    let fault = last.and_then(|last| last.fault.as_deref().cloned());
    Ended::Stalled {
        step: Arc::clone(step_name),
        attempts: last.map_or(0, |last| last.attempts),
        fault: fault.unwrap_or_default(),
    }
}

fn fault_of(failure: &Failure) -> Fault {
    Fault::of(&failure.class, &failure.message)
}

fn fail_for_good(
    pass: &Arc<Pass>,
    failure: &Failure,
    tries: Option<Tries>,
    counts: Option<RetryCounts>,
    now: Timestamp,
) {
    let attempts = pass.run.attempts + 1;
    let told = Ended::Failed {
        attempt: attempts,
        tries,
        fault: fault_of(failure),
    };
    let settled = Settled {
        state: RunState::Failed,
        output: None,
    };
    let errors = vec![error_row(pass, failure, attempts, now)];
    end(
        pass,
        RunEnd::Failed {
            at: now,
            attempts,
            retry_counts: counts.map(|counts| counts.to_json()),
        },
        errors,
        Some(settled),
        Some(told),
    );
}

fn error_row(pass: &Pass, failure: &Failure, attempt: u32, now: Timestamp) -> ErrorRow {
    ErrorRow {
        step_name: None,
        attempt,
        class: failure.class.clone(),
        message: failure.message.clone(),
        backtrace: failure.backtrace.clone(),
        context: pass.ledger().body_snapshot(),
        at: now,
    }
}

fn end(
    pass: &Arc<Pass>,
    end: RunEnd,
    errors: Vec<ErrorRow>,
    settled: Option<Settled>,
    told: Option<Ended>,
) {
    if let Some(settled) = settled {
        pass.host.holdings.will_settle(pass.run.id, settled);
    }
    let mut ledger = pass.ledger();
    if let Some(error) = ledger.refusal()
        && !matches!(end, RunEnd::Failed { .. })
    {
        drop(ledger);
        return broken(pass, &error, pass.now());
    }
    ledger.returns |= matches!(end, RunEnd::Retrying { .. });
    ledger.ended_as = told.map(Box::new);
    let level = level_after(pass, ledger.returns);
    ledger.conclude(end, level, errors);
    pass.flush_now(&mut ledger);
}

/// A run that tries again what failed waits below the healthy ones, and comes back up when it is over.
fn level_after(pass: &Pass, returns: bool) -> Option<Level> {
    let level = pass.run.level;
    let next = match pass.host.registry.get(&pass.run.workflow) {
        _ if returns => level.returning(),
        Some(definition) => level.healthy(definition.priority),
        None => level,
    };
    (next != level).then_some(next)
}

/// Nothing of this pass counts any more: its room goes back, its run is somebody else's.
fn abandon(pass: &Arc<Pass>) {
    let reserved = pass.ledger().take_reservations(u64::MAX);
    pass.forget_waiters();
    pass.host.accept_children(reserved, Vec::new());
    pass.host.pass_ended(&pass.run, false);
    let name = format!("{} `{}`", pass.run.workflow, pass.run.key);
    pass.host.lost_pass(pass.run.id, &name);
}
