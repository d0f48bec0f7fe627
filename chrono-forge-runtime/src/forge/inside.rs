//! The engine as a body sees it that it executes.

use std::sync::Arc;

use super::Forge;
use super::lifecycle::Lifecycle;
use crate::context::Context;

impl Context {
    /// The engine that executes this run, for a step, a tick or the body itself: to start runs, to wake and to
    /// retry them, to read them. Such a call is an effect, as a step is, and one that is cut off may happen again;
    /// a start under the same key finds the run that the first one has made.
    ///
    /// The handle keeps no engine alive, wherever it is kept: the engine stops when the last handle goes that
    /// [`Builder::open`](crate::forge::Builder::open) has given out, and clones of that. Calls then fail with
    /// [`Error::Closed`](crate::error::Error::Closed). A [`Run`](crate::forge::Run) cannot be awaited inside a
    /// workflow; to wait for other runs, spawn them as children.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::{Context, invocation::Invocation}, error::Error};
    /// # async fn example(cx: &Context, tick: jiff::Timestamp, report: Invocation<()>) -> Result<(), Error> {
    /// let key = format!("{}-{}", cx.key(), tick.as_second());
    /// cx.forge().start(&key, report).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn forge(&self) -> Forge {
        Forge {
            lifecycle: Arc::new(Lifecycle::of(&self.pass.host)),
            _owner: None,
        }
    }
}
