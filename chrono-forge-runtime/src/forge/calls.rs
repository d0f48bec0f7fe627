//! What is asked of one run from outside, by its key or through its handle.

use std::sync::Arc;

use super::{Forge, Retry, Run, barrier};
use crate::context::invocation::Workflow;
use crate::definition::Definition;
use crate::engine::applications;
use crate::error::Error;
use crate::record::keys::{NUL, is_storable};
use crate::record::{RunId, RunState};
use crate::store::{Found, RunAnswer, RunAsks, RunCall, RunName};

/// The most runs that an ambiguous key is told to have.
const NAMESAKES_MAX: u32 = 10;

/// The run that a call is for.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) workflow: &'static str,
    pub(super) key: String,
    /// `None`: the only one with this key.
    id: Option<RunId>,
    /// `None` of a handle, whose run was found.
    definition: Option<&'static Definition>,
}

impl Target {
    pub(super) fn by_key<W: Workflow>(key: &str) -> Self {
        Self {
            workflow: W::NAME,
            key: key.to_owned(),
            id: None,
            definition: Some(W::DEFINITION),
        }
    }

    pub(super) fn of<T>(run: &Run<T>) -> Self {
        Self {
            workflow: run.any.workflow,
            key: run.any.key.clone(),
            id: Some(run.any.id),
            definition: None,
        }
    }

    fn name(&self) -> RunName {
        let by_key = || RunName::key(self.workflow, &self.key);
        self.id.map_or_else(by_key, RunName::Id)
    }

    /// No run has the key, or none can.
    pub(super) fn not_found(self) -> Error {
        match self.id.is_none() && !is_storable(&self.key) {
            true => bad_name(&self.key),
            false => Error::NotFound {
                workflow: self.workflow,
                key: self.key,
            },
        }
    }
}

impl Forge {
    /// Asks something of a run. `on_answer` runs on the commit thread, since the caller may be gone
    /// by then.
    pub(super) async fn call(
        &self,
        target: &Target,
        asks: RunAsks,
        on_answer: impl FnOnce(&RunAnswer) + Send + 'static,
    ) -> Result<RunAnswer, Error> {
        if target.id.is_none() {
            self.check_target(target).await?;
        }
        barrier().await;
        let call = RunCall {
            run: target.name(),
            asks,
        };
        let answer = self.host().committer().call_run(call, on_answer).await;
        match answer.map_err(|error| self.host().explain(error))? {
            RunAnswer::Missing => Err(target.clone().not_found()),
            RunAnswer::Ambiguous => {
                self.only(target).await?;
                // The others are gone by now: which one was meant is not known.
                Err(target.clone().not_found())
            }
            answer => Ok(answer),
        }
    }

    async fn check_target(&self, target: &Target) -> Result<(), Error> {
        self.check_name(&target.key)?;
        match target.definition {
            Some(definition) => applications::look(self.host(), definition).await,
            None => Ok(()),
        }
    }

    /// Whether the database can be asked for a run that has this name or is below one of it.
    pub(super) fn check_name(&self, name: &str) -> Result<(), Error> {
        let stores_nul = self.host().store.capabilities().stores_nul;
        match stores_nul || is_storable(name) {
            true => Ok(()),
            false => Err(bad_name(name)),
        }
    }

    /// The only run with the key, if there is one.
    pub(super) async fn only(&self, target: &Target) -> Result<Option<RunId>, Error> {
        let Target { workflow, key, .. } = target.clone();
        self.check_target(target).await?;
        let read = self
            .host()
            .read_for_user(move |store| store.namesakes(workflow, &key, NAMESAKES_MAX));
        let runs = read.await.map_err(|error| self.host().explain(error))?;
        match runs.as_slice() {
            [] if !is_storable(&target.key) => Err(bad_name(&target.key)),
            [] => Ok(None),
            [one] => Ok(Some(RunId(one.id))),
            _ => Err(Error::AmbiguousKey {
                workflow,
                key: target.key.clone(),
                runs,
            }),
        }
    }

    pub(super) async fn wake_target(&self, target: &Target) -> Result<(), Error> {
        let host = Arc::clone(self.host());
        let on_answer = move |answer: &RunAnswer| {
            let RunAnswer::Woken(woken) = answer else {
                return;
            };
            for pass in host.holdings.passes(&[woken.run]) {
                pass.wake();
            }
            host.announce_due();
        };
        match self.call(target, RunAsks::Wake, on_answer).await? {
            RunAnswer::Woken(_) => Ok(()),
            _ => Err(Error::Closed),
        }
    }

    pub(super) async fn unlock_target(&self, target: &Target) -> Result<(), Error> {
        let host = Arc::clone(self.host());
        let on_answer = move |answer: &RunAnswer| {
            let RunAnswer::Unlocked(found) = answer else {
                return;
            };
            if found.state == RunState::Running {
                host.holdings.lose(&[(found.run, found.epoch)]);
                host.announce_due();
            }
        };
        match self.call(target, RunAsks::Unlock, on_answer).await? {
            RunAnswer::Unlocked(found) if found.state == RunState::Running => Ok(()),
            RunAnswer::Unlocked(Found { state, .. }) => Err(Error::NotRunning {
                workflow: target.workflow,
                key: target.key.clone(),
                state,
            }),
            _ => Err(Error::Closed),
        }
    }

    pub(super) async fn reset_crashes_of(&self, target: &Target) -> Result<(), Error> {
        let host = Arc::clone(self.host());
        // It may have waited for its turn in quarantine.
        let on_answer = move |_: &RunAnswer| host.announce_due();
        match self.call(target, RunAsks::ResetCrashes, on_answer).await? {
            RunAnswer::CrashesReset(Found { state, .. }) if state.is_settled() => {
                Err(Error::Settled {
                    workflow: target.workflow,
                    key: target.key.clone(),
                    state,
                })
            }
            RunAnswer::CrashesReset(_) => Ok(()),
            _ => Err(Error::Closed),
        }
    }
}

pub(super) fn bad_name(name: &str) -> Error {
    Error::BadKey {
        key: name.to_owned(),
        problem: NUL,
    }
}

impl<T> Run<T> {
    /// As [`Forge::wake`], of this run, whatever others have its key: its `continue_if!` conditions
    /// are evaluated again. One that is settled is left alone.
    ///
    /// ```
    /// # use chrono_forge_runtime::{error::Error, forge::Run};
    /// # async fn example<T>(order: &Run<T>) -> Result<(), Error> {
    /// match order.wake().await {
    ///     Err(Error::NotFound { key, .. }) => println!("{key} was deleted"),
    ///     woken => woken?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`] when its row is gone; [`Error::Store`] when the database cannot;
    /// [`Error::Closed`], [`Error::Stopped`] or [`Error::RuntimeGone`] once the engine is over.
    pub async fn wake(&self) -> Result<(), Error> {
        self.any.forge.wake_target(&Target::of(self)).await
    }

    /// As [`Forge::retry`], of this run, whatever others have its key: one that is failed or stalled
    /// goes on from what its body had received.
    ///
    /// ```
    /// # use chrono_forge_runtime::{error::Error, forge::Run, record::RunState};
    /// # async fn example<T>(order: &Run<T>) -> Result<(), Box<dyn std::error::Error>> {
    /// if order.state().await? == RunState::Stalled {
    ///     let retried = order.retry().await?;
    ///     println!("runs again: {:?}", retried.records);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRetryable`] when it is neither failed nor stalled; [`Error::NoSuchRecord`] when a
    /// record that [`Retry::records`] names has not failed; [`Error::NotFound`] when its row is gone;
    /// [`Error::Store`] when the database cannot; [`Error::Closed`], [`Error::Stopped`] or
    /// [`Error::RuntimeGone`] once the engine is over. Nothing is changed then.
    pub fn retry(&self) -> Retry {
        Retry::of(&self.any.forge, Target::of(self))
    }

    /// As [`Forge::unlock`], of this run, whatever others have its key: it is taken from the worker
    /// that it hangs on, and is due at once.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use chrono_forge_runtime::forge::Run;
    /// # async fn example<T>(order: &Run<T>) -> Result<(), Box<dyn std::error::Error>> {
    /// let operations = order.operations().await?;
    /// let hour = Duration::from_secs(3_600);
    /// if operations.iter().any(|it| it.executing_for > Some(hour)) {
    ///     order.unlock().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotRunning`] when no worker holds it; [`Error::NotFound`] when its row is gone;
    /// [`Error::Store`] when the database cannot; [`Error::Closed`], [`Error::Stopped`] or
    /// [`Error::RuntimeGone`] once the engine is over. Nothing is changed then.
    pub async fn unlock(&self) -> Result<(), Error> {
        self.any.forge.unlock_target(&Target::of(self)).await
    }

    /// As [`Forge::reset_crashes`], of this run, whatever others have its key: it leaves quarantine,
    /// for one that is known not to have killed the workers that held it.
    ///
    /// ```
    /// # use chrono_forge_runtime::{error::Error, forge::Run};
    /// # async fn example<T>(order: &Run<T>) -> Result<(), Error> {
    /// match order.reset_crashes().await {
    ///     Err(Error::Settled { state, .. }) => println!("it is {state} already"),
    ///     reset => reset?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Settled`] when it is over; [`Error::NotFound`] when its row is gone;
    /// [`Error::Store`] when the database cannot; [`Error::Closed`], [`Error::Stopped`] or
    /// [`Error::RuntimeGone`] once the engine is over. Nothing is changed then.
    pub async fn reset_crashes(&self) -> Result<(), Error> {
        self.any.forge.reset_crashes_of(&Target::of(self)).await
    }
}
