//! Recovery by hand: retry what gave up, take a run from a worker that hangs.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use super::calls::Target;
use super::{Forge, barrier};
use crate::context::invocation::{Invocation, Workflow};
use crate::error::Error;
use crate::record::{Json, RecordId, RetryFilter, RunId};
use crate::store::{BlockedPage, Rearm, Rearmed, RunAnswer, RunAsks};

/// Blocked runs looked at in one transaction of [`Forge::retry_all`]: enough to be quick, few enough
/// for commits to wait no longer than behind one another.
const PAGE_ROWS: u32 = 200;

/// What a retry re-armed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retried {
    /// Row names (`step$charge`) of the records that run again. Empty when none had failed: the error
    /// was one of the body itself, which then replays.
    pub records: Vec<String>,
}

/// A retry of one run, on its way; await it. See [`Forge::retry`].
#[derive(Clone, Debug)]
#[must_use = "a retry does nothing until it is awaited"]
pub struct Retry {
    forge: Forge,
    target: Target,
    records: Option<Vec<String>>,
    /// The name of the workflow that they are of, and the arguments.
    arguments: Option<(&'static str, Result<Json, String>)>,
}

impl Retry {
    /// Re-arms exactly these records instead of those at the tail, wherever they stand: row names as
    /// operators see them (`step$charge`), or bare keys that mean one failed record.
    pub fn records<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.records = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Gives the run other arguments: those of this invocation, of the same workflow. Only for a run that has
    /// recorded nothing but the failures that are re-armed, since what else is recorded came of the old ones; any
    /// other is refused with [`Error::HasRecorded`], and nothing is changed then.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::{Invocation, Workflow}, error::Error, forge::Forge};
    /// # async fn example<Import: Workflow>(forge: &Forge, import: fn(&str) -> Invocation<u64>) -> Result<(), Error> {
    /// forge.start("monday", import("mondey.csv")).await?;
    /// // .. stalled: there is no such file ..
    /// forge.retry::<Import>("monday").arguments(import("monday.csv")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn arguments<T>(mut self, invocation: Invocation<T>) -> Self {
        self.arguments = Some((invocation.definition.name, invocation.args));
        self
    }

    fn checked_arguments(&mut self) -> Result<Option<Json>, Error> {
        let workflow = self.target.workflow;
        let Some((of, args)) = self.arguments.take() else {
            return Ok(None);
        };
        if of != workflow {
            let problem = format!("they are those of `{of}`");
            return Err(Error::Arguments { workflow, problem });
        }
        self.forge.checked_args(workflow, args).map(Some)
    }

    pub(super) fn of(forge: &Forge, target: Target) -> Self {
        Self {
            forge: forge.clone(),
            target,
            records: None,
            arguments: None,
        }
    }

    async fn perform(mut self) -> Result<Retried, Error> {
        let args = self.checked_arguments()?;
        let Self {
            forge,
            target,
            records,
            ..
        } = self;
        let host = Arc::clone(forge.host());
        // There, since the caller may be gone by then.
        let on_answer = move |_: &RunAnswer| host.announce_due();
        let asks = RunAsks::Retry(Rearm { records, args });
        let answer = forge.call(&target, asks, on_answer).await?;
        let RunAnswer::Retried(rearmed) = answer else {
            return Err(Error::Closed);
        };
        let Target { workflow, key, .. } = target;
        match rearmed {
            Rearmed::Done { records, .. } => Ok(Retried { records }),
            Rearmed::NotRetryable(state) => Err(Error::NotRetryable {
                workflow,
                key,
                state,
            }),
            Rearmed::NoSuchRecord {
                record,
                problem,
                failed,
            } => Err(Error::NoSuchRecord {
                workflow,
                key,
                record,
                problem,
                failed,
            }),
            Rearmed::HasRecorded { record } => Err(Error::HasRecorded {
                workflow,
                key,
                record,
            }),
        }
    }
}

impl IntoFuture for Retry {
    type Output = Result<Retried, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.perform())
    }
}

impl Forge {
    /// Retries a failed or stalled run (a child's key, too), durable when this returns. What its body
    /// received stays recorded, except the failed records at the tail, those after the last success: they
    /// run again with a whole budget and a fresh deadline, and their attempts are numbered on. So do
    /// [`Retry::records`] that the caller names. The body's own budget and the count of crashes begin
    /// anew, too. [`Run::result`](super::Run::result) asked from now on waits for the new outcome.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::Error, forge::Forge};
    /// # async fn example<Order: Workflow>(forge: &Forge) -> Result<(), Error> {
    /// let retried = forge.retry::<Order>("o17").await?;
    /// println!("runs again: {:?}", retried.records);
    /// // After a compensation there is no tail: say what is to run again.
    /// forge.retry::<Order>("o18").records(["charge"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRetryable`] when the run is neither failed nor stalled: of several retries at the
    /// same time one wins, the others are refused. [`Error::NoSuchRecord`] when a named record has not
    /// failed; [`Error::NotFound`] when there is no such run and
    /// [`Error::AmbiguousKey`] when there are several; [`Error::Store`] when the database
    /// cannot. Nothing is changed then.
    pub fn retry<W: Workflow>(&self, key: &str) -> Retry {
        Retry::of(self, Target::by_key::<W>(key))
    }

    /// Retries every failed and stalled run that the filter covers and that was blocked when this
    /// began, each once and as [`Forge::retry`] does; answers how many. Runs in small transactions, so
    /// that other work goes on.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::Error, forge::Forge};
    /// # use chrono_forge_runtime::record::RetryFilter;
    /// # async fn example<Order: Workflow>(forge: &Forge) -> Result<(), Error> {
    /// let outage = RetryFilter::new().workflow(Order::NAME).stalled_by("step$charge");
    /// println!("{} orders go on", forge.retry_all(outage).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the database cannot; what was retried until then stays retried, so call
    /// it again.
    pub async fn retry_all(&self, filter: RetryFilter) -> Result<u64, Error> {
        barrier().await;
        let until = self.host().clock.now();
        let branches: Vec<Option<RecordId>> = match filter.parent() {
            None => vec![None],
            Some(parent) => {
                let branches = self
                    .host()
                    .read_for_user(move |store| store.branches_of(parent));
                let branches = branches.await.map_err(|error| self.host().explain(error))?;
                branches.into_iter().map(Some).collect()
            }
        };
        let filter = Arc::new(filter);
        let mut retried = 0;
        for branch in branches {
            retried += self.retry_branch(&filter, branch, until).await?;
        }
        Ok(retried)
    }

    /// Page after page of one branch, or of everything that is blocked.
    async fn retry_branch(
        &self,
        filter: &Arc<RetryFilter>,
        branch: Option<RecordId>,
        until: Timestamp,
    ) -> Result<u64, Error> {
        let mut after = RunId(0);
        let mut retried = 0;
        loop {
            let (host, filter) = (Arc::clone(self.host()), Arc::clone(filter));
            let page = self.host().committer().call("retry_all", move |writer| {
                let page = BlockedPage {
                    filter: &filter,
                    branch,
                    after,
                    until,
                    limit: PAGE_ROWS,
                };
                let page = writer.retry_blocked(&page, host.clock.now())?;
                if page.retried > 0 {
                    host.announce_due();
                }
                Ok(page)
            });
            let page = page.await.map_err(|error| self.host().explain(error))?;
            retried += page.retried;
            match page.last {
                Some(last) => after = last,
                None => return Ok(retried),
            }
        }
    }

    /// Takes a running run from the worker that holds it: due at once, here or elsewhere, and whatever
    /// the old holder still does is not recorded. For a run that hangs; a step that was under way runs
    /// again, so its outside effect may happen twice. Counts neither as a crash nor as an attempt.
    ///
    /// A holder in this process drops its pass at once, one in another process at its next heartbeat.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::Error, forge::Forge};
    /// # async fn example<Order: Workflow>(forge: &Forge) -> Result<(), Error> {
    /// forge.unlock::<Order>("o17").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRunning`] when no worker holds the run; [`Error::NotFound`] when there is no such
    /// run; [`Error::Store`] when the database cannot. Nothing is changed then.
    pub async fn unlock<W: Workflow>(&self, key: &str) -> Result<(), Error> {
        self.unlock_target(&Target::by_key::<W>(key)).await
    }

    /// Forgets how often workers died that held this run, so that it leaves quarantine: for one that is
    /// known not to be their killer. [`Forge::retry`] does so by itself for one that was failed as
    /// poison.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::Error, forge::Forge};
    /// # async fn example<Order: Workflow>(forge: &Forge) -> Result<(), Error> {
    /// forge.reset_crashes::<Order>("o17").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Settled`] when the run is over; [`Error::NotFound`] when there is no such run and
    /// [`Error::AmbiguousKey`] when there are several;
    /// [`Error::Store`] when the database cannot. Nothing is changed then.
    pub async fn reset_crashes<W: Workflow>(&self, key: &str) -> Result<(), Error> {
        self.reset_crashes_of(&Target::by_key::<W>(key)).await
    }
}
