//! Waiting for a run's result, and what ends the wait for one that has not settled: a standstill.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::unserved::LOOK_MAX;
use super::{Run, Unserved};
use crate::engine::hub::{Settled, Watch};
use crate::engine::pass::Pass;
use crate::error::{DefinitionError, Error, RunError};
use crate::record::{RunRow, RunState, Standstill};
use crate::store::StoreResult;

/// Who has looked for a result so often in vain is told if nobody can produce it.
const LOOKS_TO_WARN: u32 = 4;

/// Looks for a standstill take no more than one part in so many of the time of who waits.
const SHARE: u32 = 20;

/// Who has waited for long looks no more often than after one part in so many of that time, up to [`GAP_MAX`]: a
/// thousand who wait for days are no load.
const GAP_PART: u32 = 10;

/// See [`GAP_PART`].
const GAP_MAX: Duration = Duration::from_secs(10);

impl<T> Run<T> {
    /// Waits for the run to settle and gives its output. A run that was retried settles anew.
    ///
    /// A run that waits for its children does not settle while one of them, at any depth, has failed, stalled or
    /// was canceled, and nobody executes what no live worker serves. Then this ends in an error, which names the
    /// first such run and the remedy, instead of waiting for ever. The run itself stays as it is: once the child is
    /// retried (or a worker is there) it goes on, and another call of this waits for its output. Not such an error
    /// is a run that moves on by itself or by an event: one that waits for an instant, a poll, a gate or its next
    /// attempt, or that has another arm which does. Noticed, in whatever process it comes to that, within the
    /// [poll interval](crate::forge::Builder::poll_interval) or a tenth of the time that this has waited for, 10 s
    /// at most.
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
    /// [`RunError::Unserved`] when this run or one that it waits for has been due for a lease without a live worker
    /// that serves it, and [`Error::Store`] while the database refuses what this process writes for a reason that does not
    /// pass by itself (a right that was lost): the run waits, and goes on once that is mended.
    /// [`RunError::Undecodable`] when the output does not read as `T`. Awaiting it inside a workflow
    /// fails that workflow's run.
    pub async fn result(&self) -> Result<T, RunError>
    where
        T: DeserializeOwned,
    {
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
        let mut looks = 0;
        let mut doubts = Doubts::default();
        loop {
            let receiver = match watch.take() {
                Some(receiver) => receiver,
                None => {
                    let receiver = self.forge.host().hub.subscribe(self.id, self.name());
                    let row = self.row().await?;
                    if row.state.is_settled() {
                        return self.settled(row);
                    }
                    if self.host().is_over() {
                        return Err(self.host().why_over().into());
                    }
                    if let Some(obstacle) = self.forge.host().obstacle(self.id) {
                        return Err(Error::Store(obstacle).into());
                    }
                    looks += 1;
                    if looks == LOOKS_TO_WARN && row.state == RunState::Idle {
                        self.forge.warn_unserved(&row).await;
                    }
                    if let Some(reason) = doubts.look(self, row).await {
                        return Err(reason);
                    }
                    receiver
                }
            };
            match self.hear(receiver, &mut doubts).await {
                Heard::Settled(Settled {
                    state: RunState::Completed,
                    output: Some(output),
                }) => {
                    return self.decode(&output);
                }
                Heard::Standstill(reason) => return Err(reason),
                Heard::Nothing if self.host().is_over() => {
                    return Err(self.host().why_over().into());
                }
                _ => {}
            }
        }
    }

    /// Waits until the run is said to have settled, or until its row is worth a look.
    async fn hear(&self, mut receiver: Watch, doubts: &mut Doubts) -> Heard {
        let host = self.host();
        let every = host.config.poll_interval;
        // Another process may settle it, of which only the row tells.
        let poll = host.sleep(every);
        tokio::pin!(poll);
        // However rare the looks at the row are: nobody tells of a standstill.
        let doubt = every.min(host.config.heartbeat);
        loop {
            let doubting = host.sleep(doubt);
            tokio::select! {
                // First: the timers go with their runtime, which is told before they do.
                biased;
                heard = &mut receiver => return heard.map_or(Heard::Nothing, Heard::Settled),
                () = &mut poll => return Heard::Poll,
                () = doubting => {}
            }
            let Ok(row) = self.row().await else { continue };
            if let Some(reason) = doubts.look(self, row).await {
                return Heard::Standstill(reason);
            }
        }
    }
}

/// What ended a wait.
enum Heard {
    Settled(Settled),
    /// It may have settled, or the engine is over.
    Nothing,
    Poll,
    Standstill(RunError),
}

/// What somebody who waits knows of why it may be in vain.
#[derive(Default)]
struct Doubts {
    /// Since when which workflow in which queue is served by nobody, as far as was seen. A worker that was there
    /// once, however shortly, begins it anew: a deploy is no standstill.
    unserved: HashMap<(String, String), Instant>,
    /// Since when it is waited for.
    since: Option<Instant>,
    /// No look before this.
    next: Option<Instant>,
}

impl Doubts {
    /// Looks whether the run of this row stands still. A database that cannot be read is no reason to doubt.
    async fn look<T>(&mut self, run: &Run<T>, row: RunRow) -> Option<RunError> {
        let now = run.host().clock.now();
        let is_due = row.wake_at.is_some_and(|at| at.is_due(now));
        if row.state != RunState::Idle || row.wake_at.is_some() && !is_due {
            self.unserved.clear();
            return None;
        }
        if self.next.is_some_and(|next| Instant::now() < next) {
            return None;
        }
        // One at a time in this process, however many wait. Who finds another one looking does not stand in a
        // line, in which it would hear nothing.
        let Ok(_turn) = run.host().doubts.try_acquire() else {
            return None;
        };
        let begun = Instant::now();
        let found = match is_due {
            true => self.unserved_itself(run, row).await,
            false => self.standstill(run, row).await,
        };
        let took = begun.elapsed();
        let waited = self.since.get_or_insert(begun).elapsed();
        let gap = (waited / GAP_PART).min(GAP_MAX);
        let gap = gap.max(took.saturating_mul(SHARE));
        self.next = Instant::now().checked_add(gap);
        found.ok().flatten()
    }

    /// The run is due: whether nobody would take it.
    async fn unserved_itself<T>(
        &mut self,
        run: &Run<T>,
        row: RunRow,
    ) -> StoreResult<Option<RunError>> {
        let lasting = self.lasting(run).await?;
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
    async fn standstill<T>(&mut self, run: &Run<T>, row: RunRow) -> StoreResult<Option<RunError>> {
        let lasting = self.lasting(run).await?;
        let names = lasting
            .iter()
            .map(|of| (of.workflow.clone(), of.queue.clone()));
        let names: Vec<(String, String)> = names.collect();
        let now = run.host().clock.now();
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

    /// What nobody has served for longer than a lease.
    async fn lasting<T>(&mut self, run: &Run<T>) -> StoreResult<Vec<Unserved>> {
        let host = run.host();
        let now = host.clock.now();
        let rows = host.read_for_user(move |store| store.unserved(now, LOOK_MAX));
        let mut rows: Vec<Unserved> = rows.await?.into_iter().map(Unserved::from).collect();
        let name = |of: &Unserved| (of.workflow.clone(), of.queue.clone());
        let names: Vec<_> = rows.iter().map(name).collect();
        self.unserved.retain(|known, _| names.contains(known));
        let seen = Instant::now();
        for name in names {
            self.unserved.entry(name).or_insert(seen);
        }
        let lease: Duration = host.config.lease;
        rows.retain(|of| {
            let since = self.unserved.get(&name(of));
            since.is_some_and(|since| since.elapsed() >= lease)
        });
        Ok(rows)
    }
}
