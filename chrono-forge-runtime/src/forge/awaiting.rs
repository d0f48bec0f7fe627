//! Waiting for a run's result, and what ends the wait for one that has not settled: a standstill.

use std::sync::PoisonError;
use std::time::Instant;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::any_run::{self, AnyRun};
use super::{Run, Unserved};
use crate::engine::hub::Settled;
use crate::engine::lookout;
use crate::engine::pass::Pass;
use crate::error::{DefinitionError, Error, RunError};
use crate::record::{Json, RunRow, RunState, Standstill};
use crate::store::StoreResult;

/// Looks for a standstill take no more than one part in so many of the time of who waits.
const SHARE: u32 = 20;

impl<T> Run<T> {
    /// Waits for the run to settle and gives its output. A run that was retried settles anew.
    ///
    /// A run that waits for its children does not settle while one of them, at any depth, has
    /// failed, stalled or was canceled, and nobody executes what no live worker serves. Then this
    /// ends in an error, which names the first such run and the remedy, instead of waiting for
    /// ever. The run itself stays as it is: once the child is retried (or a worker is there) it
    /// goes on, and another call of this waits for its output. Not such an error is a run that
    /// moves on by itself or by an event: one that waits for an instant, a poll, a gate or its next
    /// attempt, or that has another arm which does. Noticed, in whatever process it comes to that,
    /// within two [poll intervals](crate::forge::Builder::poll_interval) or a tenth of the time
    /// that this has waited for, 10 s at most; where many wait for runs that may stand still, one
    /// of them is looked at each poll interval.
    ///
    /// ```
    /// # use chrono_forge_runtime::{context::invocation::Workflow, error::RunError, forge::{Forge, Run}};
    /// # async fn example<Resize: Workflow>(forge: &Forge, gallery: &Run<u64>) -> Result<u64, Box<dyn std::error::Error>> {
    /// loop {
    ///     match gallery.result().await {
    ///         Err(RunError::Blocked { first, .. }) if first.workflow == Resize::NAME => {
    ///             println!("{} is {}: {:?}", first.key, first.state, first.last_error);
    ///             forge.retry::<Resize>(&first.key).await?;
    ///         }
    ///         result => return Ok(result?),
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RunError::Failed`], [`RunError::Stalled`] and [`RunError::Canceled`] instead of an endless
    /// wait, [`RunError::Blocked`] while the same has become of a run that this one waits for,
    /// [`RunError::Unserved`] when this run or one that it waits for has been due for a lease
    /// without a live worker that serves it, and [`Error::Store`] while the database refuses what
    /// this process writes for a reason that does not pass by itself (a right that was lost): the
    /// run waits, and goes on once that is mended. The same when the database cannot be read as the
    /// wait begins; one that is away later is waited for. [`RunError::Undecodable`] when the output
    /// does not read as `T`. Awaiting it inside a workflow fails that workflow's run.
    pub async fn result(&self) -> Result<T, RunError>
    where
        T: DeserializeOwned,
    {
        self.decode(&self.any.output().await?)
    }
}

impl AnyRun {
    /// As [`Run::result`]: the output as it is stored.
    async fn output(&self) -> Result<Json, RunError> {
        if let Some(pass) = Pass::current() {
            pass.break_rule(DefinitionError::AwaitedRun {
                key: self.key.clone(),
            });
            std::future::pending::<()>().await;
        }
        // A clock of tests may skip to what this run waits for.
        let host = self.host();
        let is_virtual = host.clock.is_virtual();
        let _awaiting = is_virtual.then(|| host.awaited.enter(self.id));
        let mut watch = self
            .watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut doubts = Doubts::default();
        loop {
            let receiver = match watch.take() {
                Some(receiver) => receiver,
                None => {
                    let receiver = self.host().hub.subscribe(self.id, self.name());
                    let row = self.row().await?;
                    if row.state.is_settled() {
                        return any_run::output(row);
                    }
                    if self.host().is_over() {
                        return Err(self.host().why_over().into());
                    }
                    if let Some(obstacle) = self.host().obstacle(self.id) {
                        return Err(Error::Store(obstacle).into());
                    }
                    if let Some(reason) = doubts.look(self, row).await {
                        return Err(reason);
                    }
                    receiver
                }
            };
            match receiver.await {
                Some(Settled {
                    state: RunState::Completed,
                    output: Some(output),
                }) => return Ok(output),
                None if self.host().is_over() => return Err(self.host().why_over().into()),
                // It has settled otherwise or elsewhere, or its row is worth a look.
                _ => {}
            }
        }
    }
}

/// What somebody who waits remembers of looks at why it may be in vain.
#[derive(Default)]
struct Doubts {
    /// No look before this.
    next: Option<Instant>,
}

impl Doubts {
    /// Looks whether the run of this row stands still. A database that cannot be read is no reason to doubt.
    async fn look(&mut self, run: &AnyRun, row: RunRow) -> Option<RunError> {
        if row.state != RunState::Idle {
            return None;
        }
        let now = lookout::now(run.host())?;
        let is_due = row.wake_at.is_some_and(|at| at.is_due(now));
        if row.wake_at.is_some() && !is_due {
            return None;
        }
        if self.next.is_some_and(|next| Instant::now() < next) {
            return None;
        }
        let lasting = run.host().lookout.unserved_for(run.host().config.lease);
        let begun = Instant::now();
        let found = match is_due {
            true => unserved_itself(run, row, lasting).await,
            false => {
                // One walk at a time in this process, however many wait. Who finds another one
                // looking does not stand in a line, in which it would hear nothing.
                let Ok(_turn) = run.host().doubts.try_acquire() else {
                    return None;
                };
                standstill(run, row, lasting, now).await
            }
        };
        self.next = Instant::now().checked_add(begun.elapsed().saturating_mul(SHARE));
        found.ok().flatten()
    }
}

/// The run is due: whether nobody would take it.
async fn unserved_itself(
    run: &AnyRun,
    row: RunRow,
    lasting: Vec<Unserved>,
) -> StoreResult<Option<RunError>> {
    let is_of_run = |of: &Unserved| of.workflow == row.workflow && of.queue == row.queue;
    let Some(unserved) = lasting.into_iter().find(is_of_run) else {
        return Ok(None);
    };
    // It may have been claimed meanwhile, and its worker be gone.
    let id = row.id;
    let again = run.host().read_for_user(move |store| store.run(id)).await?;
    let is_same = |again: &RunRow| {
        again.epoch == row.epoch && again.state == row.state && again.wake_at == row.wake_at
    };
    Ok(again.filter(is_same).map(|_| RunError::Unserved {
        workflow: row.workflow,
        due_key: row.key.clone(),
        key: row.key,
        due_id: row.id.0,
        unserved: Box::new(unserved),
    }))
}

/// The run is parked: whether it waits for joins alone that are in vain.
async fn standstill(
    run: &AnyRun,
    row: RunRow,
    lasting: Vec<Unserved>,
    now: Timestamp,
) -> StoreResult<Option<RunError>> {
    let names = lasting
        .iter()
        .map(|of| (of.workflow.clone(), of.queue.clone()));
    let names: Vec<(String, String)> = names.collect();
    let (workflow, key) = (row.workflow.clone(), row.key.clone());
    let host = run.host();
    let look = host.read_for_user(move |store| store.standstill(&row, &names, now));
    let due = match look.await? {
        None => return Ok(None),
        Some(Standstill::Blocked { runs, first }) => {
            return Ok(Some(RunError::Blocked {
                workflow,
                key,
                runs,
                first,
            }));
        }
        Some(Standstill::Unserved(due)) => due,
    };
    let due = host.read_for_user(move |store| store.run(due)).await?;
    let unserved = due.and_then(|due| {
        let of_it = |of: &Unserved| of.workflow == due.workflow && of.queue == due.queue;
        Some((lasting.into_iter().find(of_it)?, due))
    });
    Ok(unserved.map(|(unserved, due)| RunError::Unserved {
        workflow,
        key,
        due_key: due.key,
        due_id: due.id.0,
        unserved: Box::new(unserved),
    }))
}
