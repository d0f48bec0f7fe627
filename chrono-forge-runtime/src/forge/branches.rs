//! The branches of a run, as operators ask for them.

use super::{Run, barrier};
use crate::engine::audit::{self, Scope};
use crate::error::RunError;
use crate::record::{AuditFinding, BranchState, RecordId};

/// The most branches that are told of.
const BRANCHES_MAX: u32 = 1_000;

impl<T> Run<T> {
    /// Where the run's branches stand, by name, at most 1,000: how many children there are, how many of
    /// them are pending and blocked, and, as of the last audit, how fast they complete and when they will
    /// be done. One short query, however many children there are.
    ///
    /// A worker audits each branch that stays open for longer than 5 seconds, every 5 seconds to 10
    /// minutes: at a fourth of the time that is left at its rate. Until the first audit, and once the
    /// branch is over, what audits tell is `None`.
    ///
    /// ```
    /// # use chrono_forge_runtime::{error::RunError, forge::Run};
    /// # async fn example<T>(gallery: &Run<T>) -> Result<(), RunError> {
    /// for branch in gallery.branches().await? {
    ///     let done = branch.spawned - branch.pending;
    ///     println!("{}: {done} of {}, {} blocked", branch.name, branch.spawned, branch.blocked);
    ///     if let Some(eta) = branch.eta {
    ///         println!("about {} s to go", eta.as_secs());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Run::state`].
    pub async fn branches(&self) -> Result<Vec<BranchState>, RunError> {
        let states = self.branch_states().await?;
        if states.is_empty() {
            // Either it has none or there is no such run any more.
            self.any.row().await?;
        }
        Ok(states.into_iter().map(|(_, state)| state).collect())
    }

    /// Counts the children of the run's branches now, at most 1,000 branches, and answers as
    /// [`Run::branches`] does, with what was counted. A branch whose counter is wrong is set right and
    /// its parent woken if that was the last child, as the worker's audits do by themselves: for a parent
    /// that seems to wait for nothing, without waiting for the next audit.
    ///
    /// Costs about a microsecond a child, beside everything else that happens; only when a counter is
    /// wrong, commits wait while the branch is counted again.
    ///
    /// ```
    /// # use chrono_forge_runtime::{error::RunError, forge::Run};
    /// # async fn example<T>(gallery: &Run<T>) -> Result<(), RunError> {
    /// for branch in gallery.audit().await? {
    ///     println!("{}: {:?} not begun, repaired {} times", branch.name, branch.never_started, branch.repairs);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Run::state`], and [`RunError::Forge`] when the database cannot be written; what was set right
    /// until then stays so.
    pub async fn audit(&self) -> Result<Vec<BranchState>, RunError> {
        barrier().await;
        let host = self.any.host();
        let explain = |error| host.explain(error);
        let branches: Vec<RecordId> = self
            .branch_states()
            .await?
            .into_iter()
            .map(|(branch, _)| branch)
            .collect();
        if branches.is_empty() {
            return self.branches().await;
        }
        let claims = audit::claim(host, Scope::Of(branches))
            .await
            .map_err(explain)?;
        let mut findings = Vec::with_capacity(claims.len());
        for claim in claims {
            findings.push(audit::examine(host, claim).await.map_err(explain)?);
        }
        audit::record(host, findings.clone())
            .await
            .map_err(explain)?;
        let states = self.branch_states().await?;
        Ok(states
            .into_iter()
            .map(|(branch, state)| with_finding(branch, state, &findings))
            .collect())
    }

    async fn branch_states(&self) -> Result<Vec<(RecordId, BranchState)>, RunError> {
        let id = self.any.id;
        let read = self
            .any
            .host()
            .read_for_user(move |store| store.branch_states(id, BRANCHES_MAX));
        Ok(read.await.map_err(|error| self.any.host().explain(error))?)
    }
}

/// What was found is told even where the row of a branch that is over does not keep it.
fn with_finding(
    branch: RecordId,
    mut state: BranchState,
    findings: &[AuditFinding],
) -> BranchState {
    if let Some(found) = findings.iter().find(|found| found.branch == branch) {
        let pending = found.sample.pending;
        state.note_audit(
            found.sample.at,
            pending,
            found.never_started,
            found.rate_micros,
        );
    }
    state
}
