//! A started run, seen from outside.

use std::marker::PhantomData;
use std::sync::Mutex;

use serde::de::DeserializeOwned;

use super::any_run::AnyRun;
use super::calls::bad_name;
use super::starting::Met;
use super::{Forge, Operation, operations};
use crate::context::codec;
use crate::context::invocation::Workflow;
use crate::engine::hub::Watch;
use crate::error::RunError;
use crate::record::keys::{is_storable, short_name};
use crate::record::{BRANCH, BlockedChild, RunId, RunState};

/// The most runs that [`Run::blocked_children`] and [`Run::blocked_descendants`] tell of.
const BLOCKED_CHILDREN_MAX: u32 = 1_000;

/// A run: one row, wherever it executes.
pub struct Run<T> {
    pub(super) any: AnyRun,
    met: Met,
    _output: PhantomData<fn() -> T>,
}

impl<T> Run<T> {
    pub(super) fn new(
        forge: Forge,
        id: RunId,
        workflow: &'static str,
        key: String,
        watch: Option<Watch>,
    ) -> Self {
        let any = AnyRun {
            forge,
            id,
            workflow,
            key,
            watch: Mutex::new(watch),
        };
        Self {
            any,
            met: Met::default(),
            _output: PhantomData,
        }
    }

    pub(super) fn that_met(self, met: Met) -> Self {
        Self { met, ..self }
    }

    /// Whether the [`Forge::start`] that gave this made the run, and did not find it. `false`, too, of one that was
    /// found otherwise; and after a start whose answer was lost on its way from the server, which finds what it made.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.met.is_new
    }

    /// Whether the [`Forge::start`] that gave this found a run that has other arguments than those it was called
    /// with, as values: the run keeps its own. A run that failed or stalled before it recorded anything can be given
    /// others, with [`Retry::arguments`](super::Retry::arguments).
    #[must_use]
    pub fn has_other_arguments(&self) -> bool {
        self.met.has_other_arguments
    }

    /// The key that the run was started with.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.any.key
    }

    /// The registered name of its workflow.
    #[must_use]
    pub fn workflow(&self) -> &str {
        self.any.workflow
    }

    /// The id of its row.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.any.id.0
    }

    /// Where the run stands.
    ///
    /// # Errors
    /// [`RunError::Missing`] when its row is gone; [`RunError::Forge`] when it cannot be read.
    pub async fn state(&self) -> Result<RunState, RunError> {
        Ok(self.any.row().await?.state)
    }

    /// The run's context as last written, for operators; a JSON object.
    ///
    /// # Errors
    /// As [`Run::state`].
    pub async fn context(&self) -> Result<serde_json::Value, RunError> {
        // Its id may be another run's by now.
        self.any.row().await?;
        let id = self.any.id;
        let read = self
            .any
            .host()
            .read_for_user(move |store| store.context(id));
        let context = read.await.map_err(|error| self.any.host().explain(error))?;
        let context = context.unwrap_or_else(|| "{}".into());
        codec::decode(&context).map_err(|problem| RunError::Undecodable {
            key: self.any.key.clone(),
            type_name: "a JSON object",
            problem,
        })
    }

    /// What the run waits for: its operations that have begun and have no outcome yet, by name, at most
    /// 1,000. A step that hangs shows since when it executes; [`Forge::unlock`] takes the run from the
    /// worker that it hangs on. A failed or stalled run shows what was under way beside its failure.
    ///
    /// A body that returned an error and runs again stands before them as `body`: its attempts, the
    /// last error, and when the next attempt begins. A `repeat!` tells the last tick that ran, how
    /// it ended, and which ticks were skipped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use chrono_forge_runtime::{error::RunError, forge::Run};
    /// # async fn example<T>(run: &Run<T>) -> Result<(), RunError> {
    /// for operation in run.operations().await? {
    ///     if operation.executing_for > Some(Duration::from_secs(600)) {
    ///         println!("{} {} hangs", operation.kind, operation.key);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Run::state`].
    pub async fn operations(&self) -> Result<Vec<Operation>, RunError> {
        let operations = operations::of_run(&self.any.forge, self.any.id).await?;
        if operations.is_empty() {
            // Either nothing is under way or there is no such run any more.
            self.any.row().await?;
        }
        Ok(operations)
    }

    /// The children that keep the run parked: failed, stalled and canceled ones of all its branches, by
    /// branch and in order of dispatch, at most 1,000. One short query, however many children there are.
    ///
    /// Not for the body of a workflow: a child that is blocked now may be recovered when the body replays,
    /// and a merged branch has none. A child that is parked because of children of its own is not among
    /// them; see [`Run::blocked_descendants`].
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, forge::{Forge, Run}};
    /// # async fn example<T, Resize: Workflow>(forge: &Forge, gallery: &Run<T>) -> Result<(), Box<dyn std::error::Error>> {
    /// for child in gallery.blocked_children().await? {
    ///     println!("{}/{} is {}: {:?}", child.branch, child.key, child.state, child.last_error);
    ///     forge.retry::<Resize>(&child.key).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Run::state`].
    pub async fn blocked_children(&self) -> Result<Vec<BlockedChild>, RunError> {
        let id = self.any.id;
        let read = self
            .any
            .host()
            .read_for_user(move |store| store.blocked_children(id, BLOCKED_CHILDREN_MAX));
        let children = read.await.map_err(|error| self.any.host().explain(error))?;
        if children.is_empty() {
            // Either nothing is blocked or there is no such run any more.
            self.any.row().await?;
        }
        Ok(children)
    }

    /// What keeps the run parked at any depth: failed, stalled and canceled runs among its children, their
    /// children and so on, in the order in which they were created, at most 1,000.
    ///
    /// [`Run::blocked_children`] costs what it answers. This looks at every blocked run of the database that
    /// is younger than this one, a look-up each, until it has found enough, in short transactions.
    ///
    /// ```
    /// # use chrono_forge_runtime::forge::Run;
    /// # async fn example<T>(import: &Run<T>) -> Result<(), Box<dyn std::error::Error>> {
    /// for run in import.blocked_descendants().await? {
    ///     println!("{} {} is {}: {:?}", run.workflow, run.key, run.state, run.last_error);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Run::state`].
    pub async fn blocked_descendants(&self) -> Result<Vec<BlockedChild>, RunError> {
        let row = self.any.row().await?;
        let read = self
            .any
            .host()
            .read_for_user(move |store| store.blocked_descendants(&row, BLOCKED_CHILDREN_MAX));
        Ok(read.await.map_err(|error| self.any.host().explain(error))?)
    }

    /// The child of this workflow that a branch of the run spawned, if there is one: `spawn` is
    /// what stands behind the branch in the child's key, the name of a `spawn!` (`"mail"`), or that
    /// of a `spawn_each!` and the item (`"mail$3"`).
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::RunError, forge::Run};
    /// # async fn example<T, SendMail: Workflow>(order: &Run<T>) -> Result<(), RunError> {
    /// if let Some(mail) = order.child::<SendMail>("notify", "mail$3").await? {
    ///     println!("{}: {}", mail.key(), mail.state().await?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RunError::Missing`] when the row of this run is gone; [`RunError::Forge`] when the database
    /// cannot be read, the engine is over, or a name has a null character
    /// ([`Error::BadKey`](crate::error::Error::BadKey)).
    pub async fn child<W: Workflow>(
        &self,
        branch: &str,
        spawn: &str,
    ) -> Result<Option<Run<W::Output>>, RunError> {
        self.any.forge.check_name(branch)?;
        self.any.forge.check_name(spawn)?;
        let key = format!("{}${branch}${spawn}", self.any.key);
        let record = format!("{BRANCH}{branch}");
        let short = short_name(&record);
        // A long name is that of a row from before, or in a digest.
        let mut child = None;
        for record in [Some(record), short].into_iter().flatten() {
            let (parent, wanted) = (self.any.id, key.clone());
            let read = self
                .any
                .host()
                .read_for_user(move |store| store.child(parent, &record, W::NAME, &wanted));
            let found = read.await.map_err(|error| self.any.host().explain(error))?;
            child = child.or(found);
        }
        if child.is_none() {
            // Either there is none or the run itself is gone.
            self.any.row().await?;
            if let Some(name) = [branch, spawn].into_iter().find(|name| !is_storable(name)) {
                return Err(bad_name(name).into());
            }
        }
        Ok(child.map(|child| Run::new(self.any.forge.clone(), child, W::NAME, key, None)))
    }

    pub(super) fn decode(&self, output: &str) -> Result<T, RunError>
    where
        T: DeserializeOwned,
    {
        codec::decode(output).map_err(|problem| RunError::Undecodable {
            key: self.any.key.clone(),
            type_name: std::any::type_name::<T>(),
            problem,
        })
    }
}

impl<T> std::fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Run({}/{})", self.any.workflow, self.any.key)
    }
}
