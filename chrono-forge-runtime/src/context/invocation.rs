//! An invocation: which workflow to run with which arguments, nothing more.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec;
use crate::definition::{BodyError, Definition};
use crate::record::Json;

/// A workflow's static face; `#[workflow]` implements it for the type with the function's name.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    note = "write #[workflow] above its `async fn`"
)]
pub trait Workflow {
    /// What a run gives.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// The registered name.
    const NAME: &'static str;
    /// What the engine knows about it.
    const DEFINITION: &'static Definition;
}

/// What a workflow function may return: `Result<T, E>` with an `E` that `?` can turn into
/// `anyhow::Error`, or nothing.
#[diagnostic::on_unimplemented(
    message = "a workflow cannot return `{Self}`",
    label = "return `Result<T>` or nothing",
    note = "use `chrono_forge::Result<T>`, or `Result<T, E>` where `E: std::error::Error + Send + Sync + 'static`"
)]
pub trait WorkflowReturn {
    /// The value of a success.
    type Output: Serialize + DeserializeOwned + Send + 'static;
    /// Success or error.
    fn into_result(self) -> Result<Self::Output, BodyError>;
}

impl<T, E> WorkflowReturn for Result<T, E>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: Into<anyhow::Error>,
{
    type Output = T;

    fn into_result(self) -> Result<T, BodyError> {
        self.map_err(|error| BodyError {
            error: error.into(),
            class: std::any::type_name::<E>(),
        })
    }
}

impl WorkflowReturn for () {
    type Output = ();

    fn into_result(self) -> Result<(), BodyError> {
        Ok(())
    }
}

/// Which workflow to run with which arguments. `forge.start`, `spawn!` and `spawn_each!` take it.
#[derive(Clone, Debug)]
#[must_use = "an invocation does nothing until it is started or spawned"]
pub struct Invocation<T> {
    pub(crate) definition: &'static Definition,
    /// The arguments as JSON, or why they cannot be.
    pub(crate) args: Result<Json, String>,
    _output: PhantomData<fn() -> T>,
}

impl<T> Invocation<T> {
    /// The same invocation with its output as a JSON value, so that workflows of different outputs
    /// fit in one `spawn_each!`. Such a value holds an integer beyond 64 bits as a float.
    pub fn erase(self) -> Invocation<serde_json::Value> {
        Invocation {
            definition: self.definition,
            args: self.args,
            _output: PhantomData,
        }
    }

    /// The workflow's registered name.
    #[must_use]
    pub fn workflow(&self) -> &'static str {
        self.definition.name
    }
}

/// What a constructor does: encodes the arguments, runs nothing, never panics. Arguments that do
/// not read back are refused when the invocation is used.
pub fn invoke<W, A>(args: &A) -> Invocation<W::Output>
where
    W: Workflow,
    A: Serialize + DeserializeOwned,
{
    let args = codec::encode(args).and_then(|json| {
        codec::decode::<A>(&json).map_err(|problem| format!("they do not read back: {problem}"))?;
        Ok(json)
    });
    Invocation {
        definition: W::DEFINITION,
        args,
        _output: PhantomData,
    }
}
