//! Due runs that no live worker can execute: a deploy that left a workflow or a queue out.

use std::sync::Arc;

use super::Forge;
use crate::engine::host::Host;
use crate::error::Error;
use crate::record::{RunRow, Unserved};
use crate::store::UnservedRow;
use crate::telemetry::TARGET;

/// Rows of the start-up report.
const REPORT_MAX: u32 = 20;

/// Rows that a waiting caller looks through for its own run's.
pub(super) const LOOK_MAX: u32 = 1_000;

impl From<UnservedRow> for Unserved {
    fn from(row: UnservedRow) -> Self {
        Self {
            workflow: row.workflow,
            queue: row.queue,
            due_since: row.due_since,
            is_known: row.is_known,
        }
    }
}

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
        let rows = host.read(move |store| store.unserved(now, limit)).await;
        let rows = rows.map_err(|error| host.explain(error))?;
        Ok(rows.into_iter().map(Unserved::from).collect())
    }

    /// Warns if this run waits for a worker that is not there.
    pub(super) async fn warn_unserved(&self, run: &RunRow) {
        let is_of_run = |row: &Unserved| row.workflow == run.workflow && row.queue == run.queue;
        let rows = self.unserved(LOOK_MAX).await.unwrap_or_default();
        if let Some(unserved) = rows.into_iter().find(is_of_run) {
            tracing::warn!(target: TARGET, key = run.key, "a result is awaited, but {unserved}");
        }
    }
}

/// Tells once, at start-up, of due runs that nobody can execute.
pub(super) async fn report(host: Arc<Host>) {
    let now = host.clock.now();
    match host
        .read(move |store| store.unserved(now, REPORT_MAX))
        .await
    {
        Ok(rows) => {
            for unserved in rows.into_iter().map(Unserved::from) {
                tracing::warn!(target: TARGET, since = %unserved.due_since, "due runs wait: {unserved}");
            }
        }
        Err(error) => tracing::debug!(target: TARGET, %error, "the start-up report failed"),
    }
}
