//! What workflow code can say: the run's handle and one room per primitive.
//!
//! Primitives are futures that register with their pass at their first poll and never complete
//! there; see [`crate::engine::pass`] for who decides when they do.

pub mod branch;
pub mod children;
pub mod codec;
pub mod condition;
pub mod entries;
pub mod invocation;
pub mod merge;
mod operation;
pub mod repeat;
mod runner;
pub mod source;
pub mod spawn;
pub mod state;
pub mod step;
pub mod wait;

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::pass::Pass;

/// The run's handle: its key and its context.
///
/// A parameter of this type is not an argument; the engine provides it. Clones are cheap and stand
/// for the same run.
#[derive(Clone)]
pub struct Context {
    pub(crate) pass: Arc<Pass>,
}

impl Context {
    /// The key that the run was started with, or its child key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.pass.run.key
    }

    /// The registered name of the workflow.
    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.pass.run.workflow
    }

    /// What the engine's clock shows: the time that waits and deadlines go by, in tests that of
    /// their [`Clock`](crate::clock::Clock). It differs on every pass, so ask inside a step, which
    /// records it:
    ///
    /// ```
    /// # use chrono_forge_runtime::context::Context;
    /// # fn example(cx: &Context) -> jiff::Timestamp {
    /// // let begun = step!("begun", { Ok(cx.now()) }).await?;
    /// cx.now()
    /// # }
    /// ```
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.pass.now()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("workflow", &self.workflow())
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

/// A key as a macro gives it.
#[derive(Clone, Debug)]
pub struct Key(pub(crate) String);

/// The key of anything that displays.
pub fn key(key: impl std::fmt::Display) -> Key {
    Key(key.to_string())
}
