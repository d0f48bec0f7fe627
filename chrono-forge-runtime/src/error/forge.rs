//! Errors of the calls that surround workflows.

use super::StoreError;
use crate::record::keys::shown;
use crate::record::{BlockedChild, Namesake, RunState, Unserved};

/// A call on [`Forge`](crate::forge::Forge) or its builder failed.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database could not do what was asked.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// A knob of the builder has a value that cannot work.
    #[error("{knob}: {problem}")]
    Config { knob: &'static str, problem: String },

    /// Two workflows registered one name.
    #[error(
        "two workflows are named `{name}`: {first} and {second}; give one of them #[workflow(name = \"..\")]"
    )]
    DuplicateWorkflow {
        name: String,
        first: &'static str,
        second: &'static str,
    },

    /// The name of a workflow is another application's in this database.
    #[error(
        "in this database `{workflow}` belongs to the application `{owner}`, and here it is one of `{application}`, so each would fail the other's runs: give each application a schema (`?schema=..` in the URL) or a file of its own, or this workflow another name (#[workflow(name = \"..\")]); if it is one application under two names, open it with .application(\"{owner}\")"
    )]
    OtherApplication {
        workflow: &'static str,
        /// Whose it is.
        owner: String,
        /// Whose it would be.
        application: String,
    },

    /// A name that no linked workflow registered.
    #[error(
        "no workflow named `{name}` is registered; a crate that nobody names is not linked: write `use my_workflows as _;` in the binary"
    )]
    UnregisteredWorkflow { name: String },

    /// A served workflow asks for a state that the builder was not given.
    #[error(
        "workflow `{workflow}` takes State<{state}>, which the builder was not given; add .state({state} {{ .. }}), or serve only what this process needs: .serving::<its_workflow>(), or .workflows([its_workflow::NAME, ..])"
    )]
    MissingState {
        workflow: &'static str,
        state: &'static str,
    },

    /// A run's key that cannot be used.
    #[error("the key {:?} {problem}", shown(key))]
    BadKey { key: String, problem: &'static str },

    /// The arguments of an invocation cannot be stored.
    #[error("the arguments of `{workflow}` cannot be stored: {problem}")]
    Arguments {
        workflow: &'static str,
        problem: String,
    },

    /// The arguments are larger than the configured limit.
    #[error(
        "the arguments of `{workflow}` are {bytes} bytes, over the limit of {limit}; store the data elsewhere and pass its address, or raise `payload_bytes_max`"
    )]
    TooLarge {
        workflow: &'static str,
        bytes: usize,
        limit: usize,
    },

    /// There is no run with this workflow and key.
    #[error("workflow `{workflow}` has no run with the key {key:?}")]
    NotFound { workflow: &'static str, key: String },

    /// Several runs have this workflow and key: children of different runs may share both. Nothing
    /// was changed. One of them is named by its parent ([`Run::child`](crate::forge::Run::child))
    /// or by its id ([`Forge::by_id`](crate::forge::Forge::by_id)), and then asked through its
    /// [`Run`](crate::forge::Run).
    #[error(
        "workflow `{workflow}` has several runs with the key {key:?}: {}; name one by its parent, with run.child(branch, spawn), or by its id, with forge.by_id(id)",
        listed(runs)
    )]
    AmbiguousKey {
        workflow: &'static str,
        key: String,
        /// Some of them, when there are many.
        runs: Vec<Namesake>,
    },

    /// `forge.retry` of a run that neither failed nor stalled. Nothing was changed.
    #[error("run {key:?} of `{workflow}` is {state}, not failed or stalled: {}", not_retryable(*state))]
    NotRetryable {
        workflow: &'static str,
        key: String,
        state: RunState,
    },

    /// `forge.retry` named a record that cannot be re-armed. Nothing was changed.
    #[error(
        "run {key:?} of `{workflow}`: the record {record:?} {problem}; {}",
        failed_records(failed)
    )]
    NoSuchRecord {
        workflow: &'static str,
        key: String,
        record: String,
        problem: &'static str,
        /// Row names of records that did fail; some of them, when there are many.
        failed: Vec<String>,
    },

    /// `forge.retry(..).arguments(..)` of a run that has recorded something under the arguments that it has.
    /// Nothing was changed.
    #[error(
        "run {key:?} of `{workflow}` keeps its arguments, since it has recorded `{record}` under them: retry it without others, or start another run under a new key"
    )]
    HasRecorded {
        workflow: &'static str,
        key: String,
        record: String,
    },

    /// `forge.unlock` of a run that no worker holds. Nothing was changed.
    #[error("run {key:?} of `{workflow}` is {state}, not running: {}", not_running(*state))]
    NotRunning {
        workflow: &'static str,
        key: String,
        state: RunState,
    },

    /// `forge.reset_crashes` of a run that is over. Nothing was changed.
    #[error("run {key:?} of `{workflow}` is {state}: {}", settled(*state))]
    Settled {
        workflow: &'static str,
        key: String,
        state: RunState,
    },

    /// A worker was to begin where a file is half imported: it would see parents without their children.
    #[error(
        "an import that began at {started_at} is unfinished: import the same file again, it goes on where it stopped; then open workers"
    )]
    ImportUnfinished { started_at: jiff::Timestamp },

    /// `forge.serve` cannot listen for signals.
    #[error(
        "signals cannot be listened for: {problem}; call forge.shutdown() when the process is to stop"
    )]
    Signals { problem: String },

    /// `forge.serve` in a step or a body of the same engine: the shutdown would wait for its
    /// caller.
    #[error(
        "serve() in a step or a body of its own engine would wait for its caller; call it in main, and call forge.shutdown() in a step that is to stop the engine"
    )]
    ServedFromWithin,

    /// The engine was shut down.
    #[error("this Forge was shut down; open it again")]
    Closed,

    /// A part of the engine died, so all of it stopped. Its runs are handed back: other workers go on with
    /// them, or this process once it has opened the database again.
    #[error(
        "this Forge stopped, because {part} of it panicked: {problem}; mend that if it is yours (a clock, say), and open it again"
    )]
    Stopped {
        /// What died: `the scheduler`, `a commit thread`, ..
        part: &'static str,
        /// The message of the panic.
        problem: String,
    },

    /// The engine's tasks went with their runtime. Its runs are handed back.
    #[error(
        "the tokio runtime that this Forge was opened on has ended; open one Forge for each runtime (in tests: in each test)"
    )]
    RuntimeGone,
}

fn listed(runs: &[Namesake]) -> String {
    let runs: Vec<String> = runs.iter().map(Namesake::to_string).collect();
    runs.join(", ")
}

fn not_retryable(state: RunState) -> &'static str {
    match state {
        RunState::Idle => "it goes on by itself; forge.wake lets it look at its conditions now",
        RunState::Running => "a worker holds it; forge.unlock takes it from one that hangs",
        _ => "it is over; start another run under a new key",
    }
}

fn not_running(state: RunState) -> &'static str {
    match state {
        RunState::Idle => "no worker holds it; forge.wake lets it look at its conditions now",
        RunState::Failed | RunState::Stalled => "no worker holds it; forge.retry re-arms it",
        _ => "it is over; start another run under a new key",
    }
}

fn settled(state: RunState) -> &'static str {
    match state {
        RunState::Failed | RunState::Stalled => "forge.retry re-arms it and resets its crashes",
        _ => "it is over; no worker will take it again",
    }
}

fn failed_records(failed: &[String]) -> String {
    if failed.is_empty() {
        return "none of its records has failed, so retry it without naming any".to_owned();
    }
    format!("failed: `{}`", failed.join("`, `"))
}

fn blocked(runs: usize, first: &BlockedChild) -> String {
    let BlockedChild {
        id,
        key,
        workflow,
        state,
        ..
    } = first;
    let these = match runs {
        1 => "a run below it is blocked:".to_owned(),
        runs => format!("{runs} runs below it are blocked; the first is"),
    };
    let step = first.stalled_by.as_ref();
    let step = step.map_or_else(String::new, |step| format!(" at {step}"));
    let error = first.last_error.as_ref();
    let error = error.map_or_else(String::new, |(class, message)| {
        format!(": {message} ({class})")
    });
    let key = shown(key);
    let remedy = match state {
        RunState::Canceled => {
            "it cannot be retried, so start the whole again under a new key".to_owned()
        }
        _ => format!("mend the cause, call forge.retry::<{workflow}>({key:?}), and ask again"),
    };
    format!("{these} `{key}` of `{workflow}` (run {id}), {state}{step}{error}; {remedy}")
}

fn unserved_run(key: &str, due_key: &str, due_id: i64, unserved: &Unserved) -> String {
    if key == due_key {
        return format!("it is due, and {unserved}");
    }
    let (due_key, workflow) = (shown(due_key), &unserved.workflow);
    format!("`{due_key}` of `{workflow}` (run {due_id}) below it is due, and {unserved}")
}

/// Who polls for days does not expect the first error to be the last.
fn of_condition(step: &str) -> &'static str {
    if !step.starts_with("wait_until$") {
        return "";
    }
    "; the errors of a condition are tried again only if it says so, wait_until!(.., retry = RetryPolicy::new(), ..), \
     and forge.retry looks again"
}

/// Why a run has no result.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The body failed for good.
    #[error("run `{key}` of `{workflow}` failed: {message} ({class})")]
    Failed {
        workflow: String,
        key: String,
        class: String,
        message: String,
    },

    /// A step gave up and its error reached the end of the body.
    #[error(
        "run `{key}` of `{workflow}` stalled at {step}: {message} ({class}){}",
        of_condition(step)
    )]
    Stalled {
        workflow: String,
        key: String,
        step: String,
        class: String,
        message: String,
    },

    /// Ended by hand.
    #[error("run `{key}` of `{workflow}` was canceled")]
    Canceled { workflow: String, key: String },

    /// The run waits for children, and nothing but a person moves some run below it on: it failed, stalled or
    /// was canceled. This run stays as it is; once what blocks it is retried, it goes on and has a result.
    #[error("run `{key}` of `{workflow}` waits in vain: {}", blocked(*runs, first))]
    Blocked {
        workflow: String,
        key: String,
        /// How many blocked runs it waits for, at any depth; at most 1,000 are counted.
        runs: usize,
        /// The one of them that was created first.
        first: Box<BlockedChild>,
    },

    /// The run, or one below it that it waits for, has been due for longer than a lease, and no live worker
    /// would take it. It goes on once such a worker is there.
    #[error("run `{key}` of `{workflow}` waits in vain: {}", unserved_run(key, due_key, *due_id, unserved))]
    Unserved {
        workflow: String,
        key: String,
        /// The key of the run that nobody executes: this one, or the first of those below it. Its workflow is
        /// that of `unserved`.
        due_key: String,
        /// Its [`Run::id`](crate::forge::Run::id).
        due_id: i64,
        /// What no live worker serves.
        unserved: Box<Unserved>,
    },

    /// The stored output does not read as the type asked for.
    #[error("the output of run `{key}` does not read as `{type_name}`: {problem}")]
    Undecodable {
        key: String,
        type_name: &'static str,
        problem: String,
    },

    /// The run's row is gone.
    #[error("run `{key}` of `{workflow}` no longer exists")]
    Missing { workflow: String, key: String },

    /// The call itself failed.
    #[error(transparent)]
    Forge(#[from] Error),
}

impl RunError {
    /// The run's state, when the run itself is the reason.
    #[must_use]
    pub fn state(&self) -> Option<RunState> {
        Some(match self {
            Self::Failed { .. } => RunState::Failed,
            Self::Stalled { .. } => RunState::Stalled,
            Self::Canceled { .. } => RunState::Canceled,
            Self::Undecodable { .. } => RunState::Completed,
            _ => return None,
        })
    }
}

/// A context entry could not be written or read.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The value's JSON is larger than 16 KiB.
    #[error(
        "context entry {key:?} is {bytes} bytes, over the limit of {limit}; keep large data in a step's result or outside"
    )]
    TooLarge {
        key: String,
        bytes: usize,
        limit: usize,
    },

    /// No entry can have this key.
    #[error(
        "a context entry cannot have the key {:?}, which {problem}",
        shown(key)
    )]
    BadKey { key: String, problem: &'static str },

    /// The value cannot be encoded as JSON.
    #[error("context entry {key:?} cannot be stored: {problem}")]
    Unstorable { key: String, problem: String },

    /// All entries together would be larger than `context_bytes_max`.
    #[error(
        "the context would have {bytes} bytes, over the limit of {limit}: every pass reads all of it; keep large data in steps' results or outside, or raise `context_bytes_max`"
    )]
    Full { bytes: usize, limit: usize },

    /// Another operation has changed the entry since this attempt read it to update it, or a block
    /// or a repeat that is not over has written it. The attempt is tried again by its policy.
    #[error(
        "context entry {key:?} was changed by another operation while this attempt updated it; the attempt counts for nothing and is tried again"
    )]
    Changed { key: String },

    /// The stored value does not read as the type asked for.
    #[error(
        "context entry {key:?} does not read as `{type_name}`: {problem}; nothing is lost: deploy a build that reads it, then call forge.retry"
    )]
    Undecodable {
        key: String,
        type_name: &'static str,
        problem: String,
    },
}
