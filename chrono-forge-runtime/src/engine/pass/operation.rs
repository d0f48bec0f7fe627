//! An operation: what a DSL macro made, and how far it has come in this pass.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::engine::repeat::Repeat;
use crate::error::DefinitionError;
use crate::record::keys::{KeyOf, shown};
use crate::record::{ErrorRow, Json, Notes, Record, RecordId, RecordRow, RecordState};

/// An operation's place in its pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// What an operation is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Runs user code, retried on error.
    Step { timeout: Option<Duration> },
    /// Waits for an instant.
    Wait { until: WaitUntil },
    /// Polls a condition.
    Poll {
        every: Duration,
        timeout: Option<Duration>,
    },
    /// Evaluates a condition once per wake-up.
    Gate { timeout: Option<Duration> },
    /// Dispatches children.
    Branch,
    /// Runs a tick at a time until its condition holds.
    Repeat(Arc<Repeat>),
    /// Joins branches.
    Merge { branches: Vec<String> },
}

/// When a wait ends, before its first pass has fixed it.
#[derive(Clone, Copy, Debug)]
pub enum WaitUntil {
    After(Duration),
    At(Timestamp),
}

/// A key with the name of its macro, for messages and for the row's name.
#[derive(Clone, Debug)]
pub struct Place {
    pub kind: &'static str,
    pub key: String,
}

impl Place {
    /// The row's name, but for a long key: see [`Ledger::name_of`](super::ledger::Ledger::name_of).
    pub(super) fn full_name(&self) -> String {
        [self.kind, "$", &self.key].concat()
    }

    /// Whether the key can be part of a row's name, or is that of a row which an earlier build has
    /// written.
    pub(super) fn check_key(
        &self,
        has_row: impl Fn(&Self) -> bool,
        has_branch: impl Fn(&str) -> bool,
    ) -> Result<(), DefinitionError> {
        let problem = match self.kind {
            // Of any number of names, each of which is a branch's.
            "merge" => {
                let mut names = self.key.split(',');
                names.find_map(|name| KeyOf::Branch.problem(name).filter(|_| !has_branch(name)))
            }
            kind => {
                let of = match kind {
                    "branch" => KeyOf::Branch,
                    _ => KeyOf::Operation,
                };
                let is_known = || of.was_taken(&self.key) && has_row(self);
                of.problem(&self.key).filter(|_| !is_known())
            }
        };
        match problem {
            None => Ok(()),
            Some(problem) => Err(DefinitionError::BadKey {
                place: self.to_string(),
                key: self.key.clone(),
                problem,
            }),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}!({:?})", self.kind, shown(&self.key))
    }
}

/// What an operation may do when it is polled.
#[derive(Debug)]
pub enum Turn {
    /// Nothing yet.
    Pending,
    /// Run user code.
    Execute,
    /// The attempt ran out of time: drop its future and say so.
    TimedOut,
    /// Its outcome, now.
    Deliver(Outcome),
}

/// A recorded outcome as an operation decodes it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub state: RecordState,
    pub result: Option<Json>,
    pub attempts: u32,
    pub class: Option<String>,
    pub message: Option<String>,
    pub is_timeout: bool,
    pub(super) seq: Option<i64>,
}

impl Outcome {
    /// As the record of one that was released and that nobody received; its context is applied.
    pub(super) fn into_row(self, step_name: &Arc<str>) -> RecordRow {
        let notes = Notes {
            timed_out: self.is_timeout,
            ..Notes::default()
        };
        RecordRow {
            // Only a value that is not in memory is loaded by id.
            id: RecordId(0),
            step_name: step_name.to_string(),
            seq: self.seq,
            state: self.state,
            attempts: self.attempts,
            result: self.result,
            result_bytes: 0,
            metadata: notes.to_json(),
            context_delta: None,
            error_class: self.class,
            error_message: self.message,
            started_at: None,
            wake_at: None,
        }
    }

    pub(super) fn of_row(row: &RecordRow) -> Self {
        Self {
            state: row.state,
            result: row.result.clone(),
            attempts: row.attempts,
            class: row.error_class.clone(),
            message: row.error_message.clone(),
            is_timeout: Notes::of_text(row.metadata.as_deref()).timed_out,
            seq: row.seq,
        }
    }

    pub(super) fn of_record(record: &Record) -> Self {
        Self {
            state: record.state,
            result: record.result.clone(),
            attempts: record.attempts,
            class: record.error_class.clone(),
            message: record.error_message.clone(),
            is_timeout: Notes::of_text(record.metadata.as_deref()).timed_out,
            seq: record.seq,
        }
    }
}

/// How far an operation has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// Has a recorded outcome and waits for its place in the order.
    Recorded(Box<RecordRow>),
    /// New in this pass; waits until nothing recorded is left.
    Fresh,
    /// May run user code whenever it is polled.
    Executing(Execution),
    /// Waits for an instant, a wake-up or children.
    Parked { until: Option<Timestamp> },
    /// A merge whose branches are being read.
    Checking,
    /// Has a live outcome and waits to be released.
    Done(Box<LiveOutcome>),
    /// Its next poll delivers.
    Released(Outcome),
    /// Delivered; nothing follows.
    Abandoned,
}

/// One attempt under way.
#[derive(Debug)]
pub(super) struct Execution {
    pub since: Timestamp,
    pub timeout_at: Option<Timestamp>,
    pub timed_out: bool,
    /// Whether it was polled since it was let go.
    pub begun: bool,
    /// Whether "started" was written; it is written behind, for attempts that take their time.
    pub noted: bool,
    /// Since when it waits to be polled by its body.
    pub unpolled_since: Option<Instant>,
    /// A wake-up came during the evaluation, which may have looked too early.
    pub again: bool,
}

/// An outcome of this pass with what is to be written when it is delivered.
#[derive(Debug)]
pub(super) struct LiveOutcome {
    pub record: Record,
    pub errors: Vec<ErrorRow>,
    pub context: super::ledger::Delta,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub place: Place,
    pub step_name: Arc<str>,
    pub kind: Kind,
    pub phase: Phase,
    /// The pending row: found in history, or as last written by this pass.
    pub record: Option<Record>,
    /// `None` when the driver polls it directly.
    pub waker: Option<Waker>,
    /// Context written by the attempt under way.
    pub context: super::ledger::Delta,
    /// Entries that the attempt under way read to write what it makes of them, as they were then.
    pub bases: super::ledger::Delta,
    /// What the row keeps beside its columns, as last written or found.
    pub notes: Notes,
    /// The row's metadata as an earlier pass left it, until a branch takes its cursors.
    pub found: Option<Json>,
    /// A repeat: the tick whose body may run.
    pub tick: Option<Timestamp>,
    /// A repeat: context that its ticks wrote; the body receives it with the outcome.
    pub kept: super::ledger::Delta,
    /// The branch in whose block it stands.
    pub within: Option<OpId>,
}

impl Operation {
    /// What it wrote to the context, the newest last.
    pub(super) fn take_context(&mut self) -> super::ledger::Delta {
        let mut written = std::mem::take(&mut self.kept);
        written.append(&mut self.end_attempt());
        written
    }

    /// The attempt is over: what it wrote to the context.
    pub(super) fn end_attempt(&mut self) -> super::ledger::Delta {
        self.bases.clear();
        std::mem::take(&mut self.context)
    }

    /// Whether user code has begun whose end is not recorded yet.
    pub(super) fn is_executing(&self) -> bool {
        let has_effects = matches!(self.kind, Kind::Step { .. } | Kind::Repeat(_));
        has_effects && matches!(&self.phase, Phase::Executing(run) if run.begun)
    }

    /// When a poll or gate gives up.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.notes.timeout_at()
    }

    /// When its row says that it goes on.
    pub(super) fn retry_at(&self) -> Option<Timestamp> {
        self.record.as_ref().and_then(|record| record.wake_at)
    }

    /// When the attempt came due that is to begin: that of a tick or of a step's retry.
    pub(super) fn attempt_due(&self) -> Option<Timestamp> {
        match self.kind {
            Kind::Step { .. } => self.retry_at(),
            Kind::Repeat(_) => {
                let tick = self.tick?;
                let notes = self.notes.tick.as_ref();
                let retry_at = notes.and_then(|notes| notes.retry_at);
                let retry_at = retry_at.and_then(|at| Timestamp::from_microsecond(at).ok());
                Some(retry_at.map_or(tick, |at| at.max(tick)))
            }
            _ => None,
        }
    }

    /// Whether a wake-up makes it look before its time: at a condition that may have come true.
    pub(super) fn looks_early(&self) -> bool {
        match self.kind {
            Kind::Gate { .. } => true,
            // Not while `until` itself waits for its next attempt.
            Kind::Repeat(_) => self.notes.retry_counts.is_empty(),
            _ => false,
        }
    }

    /// Whether it waits for another attempt.
    pub(super) fn is_retrying(&self) -> bool {
        let tick = self.notes.tick.as_ref();
        !self.notes.retry_counts.is_empty() || tick.is_some_and(|tick| tick.attempts > 0)
    }

    /// Whether going on means running user code, which only happens behind the barrier.
    pub(super) fn runs_user_code(&self) -> bool {
        !matches!(self.kind, Kind::Wait { .. } | Kind::Merge { .. })
    }
}
