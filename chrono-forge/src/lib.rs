// Links of the README lead through the repository. Here they lead to the modules, since the first definition of a name
// counts.
//! [architecture.md]: #in-the-repository
//! [bench]: #in-the-repository
//! [beside]: guide::beside
//! [changelog.md]: #in-the-repository
//! [contributing.md]: #in-the-repository
//! [durability]: guide::durability
//! [examples]: #in-the-repository
//! [guides]: guide
//! [log]: guide::log
//! [performance]: guide::performance
//! [scaling]: guide::scaling
//!
#![doc = include_str!("../README.md")]
//!
//! # In the repository
//!
//! The pages `ARCHITECTURE.md`, `CONTRIBUTING.md` and `CHANGELOG.md`, `bench/README.md` and the folder `examples` are
//! files of the repository that this crate is developed in, beside the crate itself.
#![doc(test(attr(deny(unused_must_use))))]

pub mod guide;
pub mod prelude;
mod span;
mod vocabulary;

#[doc(hidden)]
pub use chrono_forge_runtime::__private;

/// Turns an `async fn` into a durable workflow, or, as `#[workflow(part)]`, into a helper that may
/// use the vocabulary.
///
/// The function becomes two items of its name: a constructor that records which workflow to run
/// with which arguments, and a type for [`Workflow::NAME`] and [`Forge::get`]. Arguments are owned
/// and stored as a JSON object by name; a parameter of type [`Context`] is the run's handle, one of
/// type [`State<T>`](State) is injected from the builder. It returns `Result<T, E>` with any `E`
/// that `?` turns into `anyhow::Error`, or nothing.
///
/// Options: `name = ".."` (default: the function's name), `queue = ".."` (its runs wait for a
/// worker that serves it, with [`Builder::queue`] or [`Builder::serving`]; without either, a worker
/// serves `default`), `priority = high | normal | low`, `retry = <RetryPolicy or [RetryPolicy,
/// ..]>`, `version = <integer>` (for people: the engine decides nothing by it), `type = <Ident>`
/// (the type's name where the function's is taken), `crate = <path>` (where this crate is renamed).
///
/// ```standalone_crate
/// use chrono_forge::prelude::*;
///
/// #[workflow(name = "greet-v1", retry = RetryPolicy::new().max_attempts(5))]
/// async fn greet(cx: Context, name: String) -> Result<String> {
///     let text = step!("compose", { Ok(format!("hello {name}")) }).await?;
///     remember(&cx, &text).await?;
///     Ok(text)
/// }
///
/// #[workflow(part)]
/// async fn remember(cx: &Context, text: &str) -> Result<()> {
///     step!("remember", { Ok(cx.set("said", text)?) }).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// assert_eq!(greet::NAME, "greet-v1");
/// let forge = Forge::open("sqlite::memory:").await?;
/// let run = forge.start("ada", greet("Ada".into())).await?;
/// assert_eq!(run.result().await?, "hello Ada");
/// # Ok(())
/// # }
/// ```
pub use chrono_forge_macros::workflow;

pub use chrono_forge_runtime::clock::{Clock, SystemClock};
pub use chrono_forge_runtime::context::Context;
pub use chrono_forge_runtime::context::branch::Branch;
pub use chrono_forge_runtime::context::children::{Child, Children, Failures, Outputs};
pub use chrono_forge_runtime::context::condition::Condition;
pub use chrono_forge_runtime::context::invocation::{Invocation, Workflow, WorkflowReturn};
pub use chrono_forge_runtime::context::merge::Merge;
pub use chrono_forge_runtime::context::repeat::Repeat;
pub use chrono_forge_runtime::context::source::{
    CompositeKey, Connections, Keyset, Source, pages, stream,
};
pub use chrono_forge_runtime::context::state::State;
pub use chrono_forge_runtime::context::step::Step;
pub use chrono_forge_runtime::context::wait::Wait;
pub use chrono_forge_runtime::engine::repeat::OnError;
pub use chrono_forge_runtime::error::{
    BackupError, BranchError, ContextError, DefinitionError, Error, ExportError, ImportError,
    JoinError, KeysetError, RunError, StepError, StoreError, StoreErrorKind,
};
pub use chrono_forge_runtime::forge::{
    Backup, BackupProgress, Builder, Export, Exported, Forge, Imported, LastTick, Operation,
    Retried, Retry, Run, SkippedTicks, StartedAll, Unserved,
};
pub use chrono_forge_runtime::record::{
    BlockedChild, BranchState, ChildFailure, Namesake, ParentBranch, Priority, RetryFilter,
    RunState,
};
pub use chrono_forge_runtime::retry::{EmptyPolicies, RetryPolicies, RetryPolicy};
#[cfg(feature = "postgres")]
pub use chrono_forge_runtime::store::postgres::{DatabasePool, LentConnection};
/// Instants and calendar spans, of the version that this crate speaks: `chrono_forge::jiff::Timestamp`.
pub use jiff;
pub use span::{calendar_days, days, hours, minutes, months, secs};

#[cfg(feature = "testing")]
pub use chrono_forge_runtime::testing;

/// The result of workflows and their helpers: any cause, as `anyhow` carries it.
pub type Result<T, E = anyhow::Error> = std::result::Result<T, E>;
