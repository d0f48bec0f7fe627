//! What generated code names. Not for people: no stability, no docs.
#![allow(missing_docs)]

pub use {inventory, serde};

pub use crate::context::branch::{BranchOptions, branch, branch_automerge};
pub use crate::context::condition::{ContinueIfOptions, WaitUntilOptions, continue_if, wait_until};
pub use crate::context::invocation::{Invocation, Workflow, WorkflowReturn, invoke};
pub use crate::context::merge::{merge, named};
pub use crate::context::repeat::{RepeatOptions, repeat, tick};
pub use crate::context::spawn::{SpawnEachOptions, slot, spawn, spawn_each};
pub use crate::context::state::State;
pub use crate::context::step::{StepOptions, step};
pub use crate::context::wait::{wait, wait_instant};
pub use crate::context::{Context, Key, key};
pub use crate::definition::{
    BodyError, BodyFuture, Definition, PassHandle, Registration, StateSpec, application,
};
pub use crate::engine::repeat::OnError;
pub use crate::record::Priority;
pub use crate::retry::RetryPolicies;

use std::future::{Future, pending};

use serde::de::DeserializeOwned;

use crate::context::codec;
use crate::engine::pass::Pass;
use crate::error::{DefinitionError, PARAMETERS};
use crate::record::Json;

/// Gives a `{ .. Ok(v) }` block its error type.
pub fn anyhow_block<T, F>(block: F) -> F
where
    F: Future<Output = Result<T, anyhow::Error>>,
{
    block
}

/// The run's handle.
pub fn context(handle: PassHandle) -> Context {
    #[allow(
        clippy::expect_used,
        reason = "only the executor makes handles, and it makes them of passes"
    )]
    let pass = handle.0.downcast::<Pass>().expect("a handle holds a pass");
    Context { pass }
}

/// The stored arguments. When they do not read back the run fails and this never returns.
pub async fn arguments<A: DeserializeOwned>(cx: &Context) -> A {
    match codec::decode(&cx.pass.run.args) {
        Ok(arguments) => arguments,
        Err(problem) => {
            broken(
                cx,
                DefinitionError::Undecodable {
                    place: format!("the arguments of `{}`", cx.workflow()),
                    type_name: PARAMETERS,
                    problem,
                },
            )
            .await
        }
    }
}

/// An injected state; `open` has checked that it is there.
pub fn state<T: Send + Sync + 'static>(cx: &Context) -> State<T> {
    #[allow(
        clippy::expect_used,
        reason = "open refuses served workflows whose states are missing"
    )]
    let state = cx
        .pass
        .host
        .states
        .get::<T>()
        .expect("open checked every served workflow's states");
    State(state)
}

/// A body's end: its output encoded, or its error. An output that breaks a rule fails the run
/// whatever this returns.
pub fn finish<R: WorkflowReturn>(cx: &Context, returned: R) -> Result<Json, BodyError> {
    let output = returned.into_result()?;
    codec::storable(|| format!("the output of `{}`", cx.workflow()), &output).map_err(|error| {
        cx.pass.break_rule(error.clone());
        BodyError {
            error: error.into(),
            class: DefinitionError::CLASS,
        }
    })
}

async fn broken<T>(cx: &Context, error: DefinitionError) -> T {
    cx.pass.break_rule(error);
    pending().await
}
