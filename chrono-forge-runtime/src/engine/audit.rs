//! Audits: a slow second pair of eyes on the counters that joins rely on.
//!
//! Joins are event-driven: finishing children count their branch down, and the commit that reaches zero
//! wakes the parent. Should a counter ever be wrong, too high a one strands its parent and too low a one
//! lets it go on early. An audit counts the children beside everything else that happens ([`count`]) and
//! leaves the branch alone unless what it counted contradicts the counter. Only then is it recounted under
//! the lock that all commits need, and that recount alone decides: however an audit is overtaken, it
//! cannot make a counter wrong.
//!
//! ```text
//!   claim (round + 1) -> count pages -> holds? -> record under the round: sample, rate, next audit
//!                                         | no
//!                                         v
//!                                 recount, repair, wake
//! ```
//!
//! The [`auditor`] does so for every branch that stays open, [`cadence`] says how often, and operators for
//! the branches of one run. Who dies between claim and record leaves the branch to the next round.

pub mod auditor;
pub mod cadence;
pub mod count;

#[cfg(test)]
mod storm;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::host::Host;
use crate::clock::after;
use crate::record::{AuditClaim, AuditFinding, BranchSample, RecordId, Recount};
use crate::store::{AuditRequest, AuditScope, BranchLook, StoreErrorKind, StoreResult};
use crate::telemetry::TARGET;
use count::{Counted, Step};

/// How long a round belongs to who claimed it: longer than the count of any branch takes, and no longer
/// than the slowest cadence, so that a death delays a repair by no more than that.
const LEASE: Duration = cadence::INTERVAL_MAX;

/// Takes the audits of this scope.
pub async fn claim(host: &Arc<Host>, scope: Scope) -> StoreResult<Vec<AuditClaim>> {
    let clock = Arc::clone(&host.clock);
    let claim = move |writer: &mut dyn crate::store::Writer| {
        let now = clock.now();
        let due_by = match &scope {
            Scope::Due { by, .. } => *by,
            Scope::Of(_) => now,
        };
        let scope = match &scope {
            Scope::Due {
                limit,
                children_max,
                ..
            } => AuditScope::Due {
                limit: *limit,
                children_max: *children_max,
            },
            Scope::Of(branches) => AuditScope::Of(branches),
        };
        let lease_until = after(now, LEASE);
        writer.claim_audits(&AuditRequest { scope, lease_until }, due_by)
    };
    host.committer().call("claim_audits", claim).await
}

/// Which audits to take; see [`AuditScope`].
#[derive(Debug)]
pub enum Scope {
    Due {
        by: Timestamp,
        limit: u32,
        children_max: u64,
    },
    Of(Vec<RecordId>),
}

/// Audits a branch, and repairs it if its counter is wrong.
pub async fn examine(host: &Arc<Host>, claim: AuditClaim) -> StoreResult<AuditFinding> {
    let Some(counted) = counted(host, claim.branch).await? else {
        return Ok(gone(&claim, host.clock.now()));
    };
    if counted.holds() {
        let sample = BranchSample {
            at: host.clock.now(),
            spawned: counted.after.spawned,
            pending: counted.after.pending,
        };
        let pace = cadence::pace(&claim.before, &sample);
        return Ok(AuditFinding {
            branch: claim.branch,
            round: claim.round,
            sample,
            // Children may have begun and ended since their page was read.
            never_started: counted.count.never_started.min(sample.pending),
            rate_micros: pace.rate_micros,
            next_at: after(sample.at, pace.interval),
            is_over: sample.pending == 0 && counted.count.unfinished == 0,
        });
    }
    match recount(host, claim.branch).await? {
        Some(recount) => Ok(recounted(&claim, &recount, host.clock.now())),
        None => Ok(gone(&claim, host.clock.now())),
    }
}

/// Writes what audits found; wakes whoever waits for nothing.
pub async fn record(host: &Arc<Host>, findings: Vec<AuditFinding>) -> StoreResult<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let teller = Arc::clone(host);
    let record = move |writer: &mut dyn crate::store::Writer| {
        let woken = writer.record_audits(&findings, teller.clock.now())?;
        for run in &woken {
            tracing::warn!(target: TARGET, %run, "a run waited for branches that are joined; it was woken");
        }
        if !woken.is_empty() {
            teller.announce_due();
        }
        Ok(())
    };
    host.committer().call("record_audits", record).await
}

/// One page after the other, each on a blocking thread of its own, so that other reads come between.
async fn counted(host: &Arc<Host>, branch: RecordId) -> StoreResult<Option<Counted>> {
    let mut step = host
        .read(move |store| count::begin(store, branch, count::PAGE_ROWS))
        .await?;
    loop {
        match step {
            Step::Ended(counted) => return Ok(counted),
            Step::More(counting) => step = host.read(move |store| counting.page(store)).await?,
        }
    }
}

/// Under a lock, for which the commits of all children wait; where that would be too long by what a
/// look shows that nobody waits for.
async fn recount(host: &Arc<Host>, branch: RecordId) -> StoreResult<Option<Recount>> {
    match recount_by(host, branch, None).await {
        Err(error) if error.kind == StoreErrorKind::Slow => {}
        counted => return counted,
    }
    match host.read(move |store| store.look_at_branch(branch)).await? {
        Some(look) => recount_by(host, branch, Some(look)).await,
        None => Ok(None),
    }
}

async fn recount_by(
    host: &Arc<Host>,
    branch: RecordId,
    look: Option<BranchLook>,
) -> StoreResult<Option<Recount>> {
    let teller = Arc::clone(host);
    let recount = move |writer: &mut dyn crate::store::Writer| {
        let now = teller.clock.now();
        let recount = match &look {
            Some(look) => writer.correct_branch(branch, look, now)?,
            None => writer.recount_branch(branch, now)?,
        };
        if let Some(recount) = recount.as_ref().filter(|recount| recount.repaired) {
            tell(recount);
            if recount.woken {
                for pass in teller.holdings.passes(&[recount.run]) {
                    pass.wake();
                }
                teller.announce_due();
            }
        }
        Ok(recount)
    };
    host.committer().call("recount_branch", recount).await
}

fn tell(recount: &Recount) {
    tracing::warn!(
        target: TARGET,
        run = %recount.run,
        branch = %recount.step_name,
        counter = recount.pending,
        unfinished = recount.count.unfinished,
        children = recount.count.children,
        woken = recount.woken,
        "the counter of a branch was wrong; it was set right"
    );
}

/// What was repaired tells no rate: the counters of the sample before were others.
fn recounted(claim: &AuditClaim, recount: &Recount, now: Timestamp) -> AuditFinding {
    let pending = recount.count.unfinished;
    AuditFinding {
        branch: claim.branch,
        round: claim.round,
        sample: BranchSample {
            at: now,
            spawned: recount.spawned,
            pending,
        },
        never_started: recount.count.never_started,
        rate_micros: None,
        next_at: after(now, cadence::INTERVAL_MIN),
        is_over: pending == 0,
    }
}

/// The row is gone, so its audits go, too.
fn gone(claim: &AuditClaim, now: Timestamp) -> AuditFinding {
    AuditFinding {
        branch: claim.branch,
        round: claim.round,
        sample: BranchSample {
            at: now,
            spawned: 0,
            pending: 0,
        },
        never_started: 0,
        rate_micros: None,
        next_at: now,
        is_over: true,
    }
}
