//! Waiting for everything that can run.

use super::Forge;
use crate::engine::pass::Pass;
use crate::engine::settling;
use crate::error::{DefinitionError, Error};

impl Forge {
    /// Waits until everything that can run has run: until no run of the workflows and queues that this process serves
    /// is due or held by a worker, here or elsewhere, and what they did is written. What is left waits for an instant
    /// of the [clock](super::Builder::clock), for a wake-up, for children, or has ended, whichever way.
    ///
    /// For tests, before they look at runs or move their clock; and for a process that does what is due and leaves:
    ///
    /// ```
    /// # use chrono_forge_runtime::{error::Error, forge::Forge};
    /// # async fn nightly(url: &str) -> Result<(), Error> {
    /// let forge = Forge::open(url).await?;
    /// forge.settled().await?;
    /// forge.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A step that never ends is waited for without end. Runs that this process does not serve are not waited for: those
    /// of a workflow or a queue that is not its own, and all of them where the worker is off. A run that a dead worker
    /// has left is waited for until it was recovered and has run.
    ///
    /// Costs a short query for each look, a millisecond after the first one and at last 20 ms apart.
    ///
    /// # Errors
    /// [`Error::Store`] when the database cannot be read, or refuses what this process writes; [`Error::Closed`],
    /// [`Error::Stopped`] or [`Error::RuntimeGone`] once the engine is over. Awaiting it inside a workflow fails that
    /// workflow's run.
    pub async fn settled(&self) -> Result<(), Error> {
        if let Some(pass) = Pass::current() {
            pass.break_rule(DefinitionError::AwaitedItself);
            std::future::pending::<()>().await;
        }
        settling::settled(self.host()).await.map(drop)
    }
}
