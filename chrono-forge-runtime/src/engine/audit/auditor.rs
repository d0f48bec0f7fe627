//! The auditor of one worker: looks every few seconds for branches that stay open, and audits those
//! whose turn it is, one at a time.
//!
//! It follows the workflows' clock, as the instants in its table do: the time between audits has to do
//! with how fast children finish, not with processes. How much of a connection it may use follows real time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Scope, cadence};
use crate::clock::after;
use crate::engine::host::Host;
use crate::record::RecordId;
use crate::store::{StoreErrorKind, StoreResult};
use crate::telemetry::TARGET;

/// Open branches looked at in one round, by an index that has no others.
const LOOK_ROWS: u32 = 5_000;

/// Audits taken in one round, and the children that they count together.
const CLAIMS_MAX: u32 = 500;
const CHILDREN_MAX: u64 = 1_000_000;

/// Counting takes at most this part of one connection's time, however many branches are open.
const SHARE: u32 = 50;

/// See the module.
pub struct Auditor {
    host: Arc<Host>,
    /// Where the walk over the open branches goes on.
    resume_after: RecordId,
}

impl Auditor {
    /// An auditor of every branch in the host's database.
    #[must_use]
    pub fn new(host: Arc<Host>) -> Self {
        Self {
            host,
            resume_after: RecordId(0),
        }
    }

    /// Runs until the host closes.
    pub async fn run(mut self) {
        let host = Arc::clone(&self.host);
        loop {
            let begun = host.clock.now();
            tokio::select! {
                () = host.clock.sleep_until(after(begun, cadence::INTERVAL_MIN)) => {}
                () = set_back(&host, begun) => {}
            }
            if host.closing.load(Ordering::Acquire) {
                return;
            }
            let counting = match self.round().await {
                Ok(counting) => counting,
                Err(error) if error.kind == StoreErrorKind::Closed => return,
                Err(error) => {
                    tracing::warn!(target: TARGET, %error, "branches could not be audited");
                    continue;
                }
            };
            tokio::time::sleep(counting * (SHARE - 1)).await;
        }
    }

    /// One round; answers how long it counted.
    async fn round(&mut self) -> StoreResult<Duration> {
        let (host, from) = (&self.host, self.resume_after);
        let now = host.clock.now();
        // Most branches are over within moments, and never enter the table.
        let opened_by = now.checked_sub(cadence::INTERVAL_MIN).unwrap_or(now);
        let work = host
            .read(move |store| store.audit_work(from, LOOK_ROWS, opened_by, now))
            .await?;
        self.resume_after = work.resume_after;
        if !work.unaudited.is_empty() {
            let enter = move |writer: &mut dyn crate::store::Writer| {
                let due_at = after(now, cadence::INTERVAL_MIN);
                writer.enter_audits(&work.unaudited, due_at, now)
            };
            host.committer().call("enter_audits", enter).await?;
        }
        // No audit is planned so far ahead: the clock was set back since.
        let too_far = after(now, cadence::INTERVAL_MAX * 2);
        let due = match (work.next_at, work.last_at) {
            (_, Some(last)) if last > too_far => Timestamp::MAX,
            (Some(next), _) if next <= now => now,
            _ => return Ok(Duration::ZERO),
        };
        self.audit_due(due).await
    }

    /// Audits what was planned for this instant or before.
    async fn audit_due(&self, by: Timestamp) -> StoreResult<Duration> {
        let host = &self.host;
        let due = Scope::Due {
            by,
            limit: CLAIMS_MAX,
            children_max: CHILDREN_MAX,
        };
        let claims = super::claim(host, due).await?;
        let begun = Instant::now();
        let mut findings = Vec::with_capacity(claims.len());
        let mut failed = None;
        for claim in claims {
            // Whoever comes next takes over what is left.
            if failed.is_some() || host.closing.load(Ordering::Acquire) {
                break;
            }
            match super::examine(host, claim).await {
                Ok(finding) => findings.push(finding),
                Err(error) => failed = Some(error),
            }
        }
        let counting = begun.elapsed();
        super::record(host, findings).await?;
        failed.map_or(Ok(counting), Err)
    }
}

/// Completes when the clock shows an instant before this one: who sleeps by it would sleep for longer than meant.
async fn set_back(host: &Host, begun: Timestamp) {
    while host.clock.now() >= begun {
        tokio::time::sleep(cadence::INTERVAL_MIN).await;
    }
}
