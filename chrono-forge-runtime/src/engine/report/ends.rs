//! What becomes of runs: told once it is durable, since until then it may come otherwise.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::storms::Kind;
use super::tidings::of_all;
use super::{Fault, Report, step_of};
use crate::record::{ClaimedRun, Due, RunId, RunRow};
use crate::retry::Tries;
use crate::store::CrashLimits;
use crate::telemetry::TARGET;

/// How a pass ended that did not end well.
#[derive(Debug)]
pub enum Ended {
    /// The body failed, and runs again then.
    Rerun {
        attempt: u32,
        tries: Option<Tries>,
        fault: Fault,
        next: Timestamp,
    },
    /// A record gave up, and with it the body.
    Stalled {
        step: Arc<str>,
        attempts: u32,
        fault: Fault,
    },
    /// It cannot read what is stored.
    Unreadable { place: Arc<str>, fault: Fault },
    /// The body failed for good.
    Failed {
        attempt: u32,
        tries: Option<Tries>,
        fault: Fault,
    },
}

impl Report {
    /// A run that no pass has touched begins, or one goes on.
    pub fn began(&self, run: &ClaimedRun) {
        let (workflow, key) = (&*run.workflow, &*run.key);
        match run.fresh {
            true => tracing::debug!(target: TARGET, workflow, key, "a run begins"),
            false => tracing::debug!(target: TARGET, workflow, key, "a run goes on"),
        }
    }

    /// A run waits, for an instant or to be woken.
    pub fn parked(&self, run: &ClaimedRun, wake_at: Option<Due>) {
        let (workflow, key) = (&*run.workflow, &*run.key);
        let next = wake_at.map(Due::since).map(tracing::field::display);
        tracing::debug!(target: TARGET, workflow, key, next, "a run waits");
    }

    /// A run is left to who can read its arguments.
    pub fn gave_back(&self, run: &ClaimedRun, fault: &Fault, next: Timestamp) {
        let (workflow, key) = (&*run.workflow, &*run.key);
        self.about(Kind::GaveBack, run, fault, || {
            let Fault { error, .. } = fault;
            tracing::warn!(target: TARGET, workflow, key, error, %next, "this worker cannot read the arguments of a run and leaves it to others: give each application a schema of its own (`schema=` in the URL), or the workflow another name; or deploy a build that reads them");
        });
    }

    /// A run is completed.
    pub fn completed(&self, run: &ClaimedRun) {
        tracing::debug!(target: TARGET, workflow = &*run.workflow, key = run.key, "a run is completed");
    }

    /// What a pass came to is durable.
    pub fn ended(&self, run: &ClaimedRun, ended: &Ended) {
        let (workflow, key) = (&*run.workflow, &*run.key);
        match ended {
            Ended::Rerun {
                attempt,
                tries,
                fault,
                next,
            } => self.about(Kind::Rerun, run, fault, || {
                let (Fault { class, error }, attempt) = (fault, of_all(*attempt, *tries));
                tracing::warn!(target: TARGET, workflow, key, %attempt, class, error, %next, "the body failed and runs again; the run waits for that");
            }),
            Ended::Stalled {
                step,
                attempts,
                fault,
            } => self.about(Kind::Stalled, run, fault, || {
                let (Fault { class, error }, step) = (fault, step_of(step));
                tracing::error!(target: TARGET, workflow, key, step, attempts, class, error, "the run stalled: mend the cause, then forge.retry goes on at this step");
            }),
            Ended::Unreadable { place, fault } => self.about(Kind::Stalled, run, fault, || {
                let (Fault { class, error }, step) = (fault, &**place);
                tracing::error!(target: TARGET, workflow, key, step, class, error, "the run stalled: deploy a build that reads its values, then forge.retry goes on");
            }),
            Ended::Failed {
                attempt,
                tries,
                fault,
            } => self.about(Kind::Failed, run, fault, || {
                let (Fault { class, error }, attempt) = (fault, of_all(*attempt, *tries));
                tracing::error!(target: TARGET, workflow, key, %attempt, class, error, "the run failed: mend the cause, then forge.retry runs the body again");
            }),
        }
    }

    /// A run begins that was held by several workers when they died.
    pub fn quarantined(&self, run: &ClaimedRun, limits: CrashLimits) {
        let fatal = limits.quarantine_from.saturating_add(limits.poison_at);
        let deaths = run.crashes;
        let newest = format_args!("{deaths} deaths");
        self.about(Kind::Quarantined, run, &newest, || {
            let (workflow, key) = (&*run.workflow, &*run.key);
            tracing::error!(target: TARGET, workflow, key, deaths, "a run goes on in quarantine, since workers died that held it: find what kills the process (memory, abort, stack overflow); at death {fatal} it fails as poison");
        });
    }

    /// A run was failed since it killed so many workers.
    pub fn poisoned(&self, run: &RunRow) {
        let (class, message) = run.last_error.clone().unwrap_or_default();
        let Fault { class, error } = Fault::of(&class, &message);
        tracing::error!(target: TARGET, workflow = &*run.workflow, key = run.key, deaths = run.crashes, class, error, "the run failed as poison: deploy what keeps it from killing the process, then forge.retry takes it up again");
    }

    /// A run lost its pass so often that it is kept from others; `name` tells which one, as far as
    /// that is known.
    pub fn lost_pass(&self, run: RunId, name: &str, losses: u32) {
        let newest = || name.to_owned();
        if self
            .storms
            .admit(Kind::LostPass, "", newest, Instant::now())
        {
            tracing::warn!(target: TARGET, %run, name, losses, "a run loses its pass again and again although no worker died; it goes on in quarantine: see that no step blocks its thread (spawn_blocking) and that the lease is long enough, then let it out with forge.reset_crashes(..)");
        }
    }
}
