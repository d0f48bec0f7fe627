//! What every [`Run`](super::Run) has, whatever the type of its output, so that waiting for one is
//! compiled once and not for each type.

use std::sync::{Arc, Mutex};

use super::Forge;
use crate::engine::host::Host;
use crate::engine::hub::{Name, Watch};
use crate::error::RunError;
use crate::record::{Json, RunId, RunRow, RunState};

/// A run without the type of its output.
pub(super) struct AnyRun {
    pub(super) forge: Forge,
    pub(super) id: RunId,
    pub(super) workflow: &'static str,
    pub(super) key: String,
    /// Subscribed before the run could settle, for a run that this process has just started.
    pub(super) watch: Mutex<Option<Watch>>,
}

impl AnyRun {
    pub(super) fn host(&self) -> &Arc<Host> {
        self.forge.host()
    }

    pub(super) fn name(&self) -> Name {
        Name::of(self.workflow, &self.key)
    }

    /// Its row as it is now.
    ///
    /// # Errors
    /// [`RunError::Missing`] when it is gone; [`RunError::Forge`] when it cannot be read.
    pub(super) async fn row(&self) -> Result<RunRow, RunError> {
        let id = self.id;
        let row = self.host().read_for_user(move |store| store.run(id)).await;
        // The id may be another run's by now: a database that was set back to an older copy gives
        // ids out again.
        let ours = row
            .map_err(|error| self.host().explain(error))?
            .filter(|row| row.key == self.key && row.workflow == self.workflow);
        ours.ok_or_else(|| RunError::Missing {
            workflow: self.workflow.to_owned(),
            key: self.key.clone(),
        })
    }
}

/// The output of a run that has settled.
///
/// # Errors
/// How it ended, if it did not complete.
pub(super) fn output(row: RunRow) -> Result<Json, RunError> {
    let (class, message) = row.last_error.unwrap_or_default();
    let (workflow, key) = (row.workflow, row.key);
    match row.state {
        RunState::Failed => Err(RunError::Failed {
            workflow,
            key,
            class,
            message,
        }),
        RunState::Stalled => {
            let step = row.stalled_by.unwrap_or_default();
            Err(RunError::Stalled {
                workflow,
                key,
                step,
                class,
                message,
            })
        }
        RunState::Canceled => Err(RunError::Canceled { workflow, key }),
        _ => Ok(row.output.unwrap_or_else(|| Json::from("null"))),
    }
}
