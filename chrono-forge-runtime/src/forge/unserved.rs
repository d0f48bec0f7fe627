//! Due runs that no live worker can execute: a deploy that left a workflow or a queue out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Forge;
use crate::definition::Definition;
use crate::engine::host::Host;
use crate::engine::report::is_heard;
use crate::error::Error;
use crate::record::Unserved;
use crate::record::unserved::missing;
use crate::store::{ServingRow, StoreResult};
use crate::telemetry::TARGET;

/// Rows of a report.
const REPORT_MAX: u32 = 20;

/// A start waits no longer for the look at who executes it.
const LOOK_TIME_MAX: Duration = Duration::from_secs(1);

impl Forge {
    /// Which due runs no live worker can execute, by workflow and queue, at most `limit` of them: their
    /// workflow, or their queue, is in no worker's list. They wait, however long, and go on once such a
    /// worker is there. A deploy that leaves a workflow out shows here.
    ///
    /// Costs a look-up for each workflow that has due runs, however many those are.
    ///
    /// ```
    /// # use chrono_forge_runtime::{error::Error, forge::Forge};
    /// # async fn example(forge: &Forge) -> Result<(), Error> {
    /// for unserved in forge.unserved(100).await? {
    ///     // no live worker knows `send_invoice`: ..
    ///     println!("{unserved}; the first waits since {}", unserved.due_since);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] when the database cannot be read.
    pub async fn unserved(&self, limit: u32) -> Result<Vec<Unserved>, Error> {
        let host = self.host();
        let now = host.clock.now();
        let rows = host
            .read_for_user(move |store| store.unserved(now, limit))
            .await;
        let rows = rows.map_err(|error| host.explain(error))?;
        Ok(rows.into_iter().map(Unserved::from).collect())
    }

    /// Warns, once a workflow, that a run was started which no live worker would execute.
    pub(super) async fn warn_started_unserved(&self, definition: &Definition, key: &str) {
        let host = self.host();
        if !is_heard() || !host.report.is_to_look(definition.name) {
            return;
        }
        let read = host.read_for_user(|store| store.serving());
        // A database that is away, or busy, keeps nobody from going on: the next look tells.
        let workers = tokio::select! {
            workers = read => workers.ok(),
            () = host.sleep(LOOK_TIME_MAX) => None,
        };
        let Some(workers) = workers else { return };
        if let Some(missing) = Missing::of(&workers, definition) {
            host.report.started_unserved(definition.name, key, &missing);
        }
    }
}

/// Due runs that nobody can execute, some of them where there are many.
pub(super) async fn look(host: &Arc<Host>, now: Timestamp) -> StoreResult<Vec<Unserved>> {
    let read = host.read(move |store| store.unserved(now, REPORT_MAX));
    Ok(read.await?.into_iter().map(Unserved::from).collect())
}

/// Warns of served workflows whose queue neither this worker nor another one serves: each of their
/// runs would wait.
pub(super) async fn warn_queues(host: &Arc<Host>) {
    let names = host.registry.names();
    let served = names.iter().filter_map(|name| host.registry.get(name));
    let left: Vec<_> = served
        .filter(|definition| !host.executes(definition.name, definition.queue))
        .collect();
    // As a rule there is none, and nothing to ask.
    if left.is_empty() {
        return;
    }
    match host.read(|store| store.serving()).await {
        Ok(workers) => {
            for definition in left {
                if let Some(missing) = Missing::of(&workers, definition) {
                    host.report.unserved_queue(&missing);
                }
            }
        }
        Err(error) => tracing::debug!(target: TARGET, %error, "nobody knows who serves what"),
    }
}

/// A workflow's runs that no live worker would execute.
struct Missing {
    workflow: &'static str,
    queue: &'static str,
    is_known: bool,
}

impl Missing {
    fn of(workers: &[ServingRow], definition: &Definition) -> Option<Self> {
        let (workflow, queue) = (definition.name, definition.queue);
        let is_served = workers.iter().any(|worker| worker.serves(workflow, queue));
        let knows = |worker: &ServingRow| worker.workflows.iter().any(|name| name == workflow);
        (!is_served).then(|| Self {
            workflow,
            queue,
            is_known: workers.iter().any(knows),
        })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        missing(f, (self.workflow, None), self.queue, self.is_known)
    }
}
