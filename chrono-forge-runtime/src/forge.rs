//! The runtime surface: open a database, start runs, wait for their results.

mod any_run;
mod awaiting;
mod backup;
mod branches;
mod builder;
mod calls;
mod inside;
mod lifecycle;
mod operations;
mod recovery;
mod reports;
#[cfg(feature = "testing")]
mod reverting;
mod run;
mod runtimes;
mod serving;
mod settling;
mod starting;
mod transfer;
mod unserved;

use std::sync::Arc;

pub use backup::{Backup, BackupProgress};
pub use builder::Builder;
pub use operations::{LastTick, Operation, SkippedTicks};
pub use recovery::{Retried, Retry};
pub use run::Run;
pub use starting::StartedAll;
pub use transfer::{Export, Exported, Imported};

use crate::context::invocation::Workflow;
use crate::engine::applications;
use crate::error::Error;
use crate::record::RunId;
pub use crate::record::Unserved;
use calls::Target;
use lifecycle::{Lifecycle, Owner};
use starting::barrier;

/// An open engine. Clones are cheap and stand for the same one.
///
/// When the last clone is dropped the engine stops at once, as a crash would stop it, and the
/// thread that drops it waits until its connections are closed, for a quarter of a second at most;
/// use [`Forge::shutdown`] to let passes reach a durable point first. One that is shutting down
/// just then cuts its grace off and hands its runs back. What
/// [`Context::forge`](crate::context::Context::forge) gives, and clones of it, do not count: they
/// keep no engine alive.
#[derive(Clone)]
pub struct Forge {
    lifecycle: Arc<Lifecycle>,
    /// `None` in a handle that the engine itself has given out.
    _owner: Option<Arc<Owner>>,
}

impl Forge {
    /// Opens a database with every default; see [`Builder`] for what can be set.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::builder(url).open().await
    }

    /// Settings for an engine over the database at `url`: `sqlite://file.db`, `sqlite::memory:`,
    /// `postgres://user@host/database`.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    /// The run of this workflow with this key (a child's key, too), if there is one.
    ///
    /// # Errors
    /// [`Error::AmbiguousKey`] when there are several, which children of different runs may be;
    /// [`Error::BadKey`] when none can have it; [`Error::Store`] when the database cannot be read.
    pub async fn get<W: Workflow>(&self, key: &str) -> Result<Option<Run<W::Output>>, Error> {
        let id = self.only(&Target::by_key::<W>(key)).await?;
        Ok(id.map(|id| Run::new(self.clone(), id, W::NAME, key.to_owned(), None)))
    }

    /// The run of this workflow with this [`Run::id`], if there is one: of those that share a key,
    /// the one that is meant.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::Error, forge::Forge};
    /// # async fn example<SendMail: Workflow>(forge: &Forge, key: &str) -> Result<(), Error> {
    /// match forge.get::<SendMail>(key).await {
    ///     Err(Error::AmbiguousKey { runs, .. }) => {
    ///         for run in runs {
    ///             println!("{run}");
    ///             if let Some(run) = forge.by_id::<SendMail>(run.id).await? {
    ///                 run.wake().await?;
    ///             }
    ///         }
    ///     }
    ///     found => println!("{:?}", found?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the database cannot be read; [`Error::Closed`], [`Error::Stopped`] or
    /// [`Error::RuntimeGone`] once the engine is over. That there is no such run, or that it is one
    /// of another workflow, is `None`.
    pub async fn by_id<W: Workflow>(&self, id: i64) -> Result<Option<Run<W::Output>>, Error> {
        let read = self.host().read_for_user(move |store| store.run(RunId(id)));
        let row = read.await.map_err(|error| self.host().explain(error))?;
        let row = row.filter(|row| row.workflow == W::NAME);
        if row.is_some() {
            applications::look(self.host(), W::DEFINITION).await?;
        }
        Ok(row.map(|row| Run::new(self.clone(), row.id, W::NAME, row.key, None)))
    }

    /// Wakes a parked run: its `continue_if!` conditions are evaluated again. A running one looks
    /// again before it parks; a settled one is left alone.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such run, [`Error::AmbiguousKey`] when there are
    /// several, [`Error::BadKey`] when none can have the key.
    pub async fn wake<W: Workflow>(&self, key: &str) -> Result<(), Error> {
        self.wake_target(&Target::by_key::<W>(key)).await
    }

    /// Stops the engine: claims nothing more, lets passes reach a durable point for as long as the
    /// grace, cuts off the rest, hands everything back and gives its connections up. Runs go on at the next `open`, here or
    /// elsewhere; nothing that was cut off counts as a failed attempt.
    ///
    /// The end is the engine's own: once this was polled it comes, whatever becomes of the future, and everybody
    /// who asks for it returns when it has come. Runs that are started meanwhile wait for another worker. Inside
    /// a body or a step of this very engine, for which the end waits, it returns at once, and the run goes on
    /// later as every other does.
    pub async fn shutdown(&self) {
        self.lifecycle.shutdown().await;
    }

    /// Transactions committed by this process since `open`.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.host().committer().commits()
    }

    /// Runs that somebody in this process waits for, or might.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn awaited(&self) -> usize {
        self.host().hub.awaited().len()
    }

    /// Dies as a killed process would: nothing more is written, acknowledged or released.
    #[cfg(feature = "testing")]
    pub fn crash(&self) {
        self.lifecycle.crash();
    }

    /// Waits until a failpoint has made the engine die.
    #[cfg(feature = "testing")]
    pub async fn crashed(&self) {
        self.lifecycle.crashed().await;
    }

    pub(crate) fn host(&self) -> &Arc<crate::engine::host::Host> {
        &self.lifecycle.host
    }
}

impl std::fmt::Debug for Forge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forge")
            .field("worker", &self.host().worker())
            .finish_non_exhaustive()
    }
}
