//! Claims due runs into free slots; sleeps until something can be due.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::host::Host;
use crate::clock::until;
use crate::record::ClaimedRun;
use crate::store::{ClaimRequest, Claims, Room, StoreResult};
use crate::telemetry::{TARGET, Trouble};

/// Every so many claims the least urgent level goes first, so that a busy top level starves nobody.
const LOWEST_FIRST_EVERY: u64 = 16;

/// The scheduler of one worker.
pub struct Scheduler {
    host: Arc<Host>,
    /// Served names, rotated by one with every claim.
    workflows: Vec<String>,
    claims: u64,
    trouble: Trouble,
}

impl Scheduler {
    /// A scheduler over the host's registry and queues.
    #[must_use]
    pub fn new(host: Arc<Host>) -> Self {
        let workflows = host.registry.names();
        Self {
            host,
            workflows,
            claims: 0,
            trouble: Trouble::default(),
        }
    }

    /// Runs until the host closes.
    pub async fn run(mut self) {
        while !self.host.closing.load(Ordering::Acquire) {
            match self.claim().await {
                Ok(taken) if taken > 0 => {}
                Ok(_) => self.rest().await,
                Err(error) => {
                    self.trouble.tell(&error, "a claim failed");
                    tokio::time::sleep(self.host.config.poll_interval).await;
                }
            }
        }
    }

    /// One claim for all queues with room; answers how many runs it took.
    async fn claim(&mut self) -> StoreResult<usize> {
        let wanted = self.host.slots.wanted();
        if wanted.is_empty() || self.workflows.is_empty() || !self.host.is_trusted() {
            return Ok(0);
        }
        self.workflows.rotate_left(1);
        self.claims += 1;
        let claims = self.ask(wanted.clone()).await?;
        if let Some(outage) = self.trouble.over() {
            tracing::info!(target: TARGET, ?outage, "claims succeed again");
        }
        let taken = claims.runs.len();
        for room in &wanted {
            let of_queue = |run: &&ClaimedRun| run.queue == room.queue;
            let runs: Vec<&ClaimedRun> = claims.runs.iter().filter(of_queue).collect();
            self.host.slots.claimed(room, &runs, self.lowest_first());
        }
        self.host.offer(claims.runs);
        Ok(taken)
    }

    fn lowest_first(&self) -> bool {
        self.claims.is_multiple_of(LOWEST_FIRST_EVERY)
    }

    async fn ask(&self, wanted: Vec<Room>) -> StoreResult<Claims> {
        let host = Arc::clone(&self.host);
        let workflows = self.workflows.clone();
        let lowest_first = self.lowest_first();
        let claim = move |writer: &mut dyn crate::store::Writer| {
            // Asked on the thread that claims: what it waited for may have taken long.
            if host.closing.load(Ordering::Acquire) || !host.is_trusted() {
                return Ok(Claims::default());
            }
            let Some(worker) = host.holdings.worker() else {
                return Ok(Claims::default());
            };
            let suspects = host.suspects();
            let claims = writer.claim_due(&ClaimRequest {
                worker,
                now: host.clock.now(),
                queues: &wanted,
                workflows: &workflows,
                lowest_first,
                quarantine_slot: suspects.is_open(),
                quarantine_from: host.config.crashes.quarantine_from,
                company: suspects,
            })?;
            host.holdings.hold(worker, &claims.runs);
            Ok(claims)
        };
        self.host.committer().call("claim", claim).await
    }

    /// Sleeps until the next known wake-up, a signal, or the poll interval.
    async fn rest(&self) {
        let poll = self.host.config.poll_interval;
        if self.host.slots.wanted().is_empty() {
            // No room: the next body that ends asks again.
            let _ = tokio::time::timeout(poll, self.host.work.notified()).await;
            return;
        }
        self.host.alarm.reset();
        let next = self.next_wake().await;
        // Already due, and yet the claim took nothing: another worker is at it, or a quarantined
        // run waits for its turn. Do not spin.
        let at_least = match next {
            Some(at) if until(self.host.clock.now(), at).is_zero() => Duration::from_millis(10),
            _ => Duration::ZERO,
        };
        let due = async {
            tokio::time::sleep(at_least).await;
            self.sleep_until_due(next).await;
        };
        tokio::select! {
            () = self.host.work.notified() => {}
            () = due => {}
            () = tokio::time::sleep(poll) => {}
        }
    }

    /// Sleeps until this instant, or the one of a run that is parked meanwhile.
    async fn sleep_until_due(&self, known: Option<Timestamp>) {
        loop {
            let next = [known, self.host.alarm.next()].into_iter().flatten().min();
            let sleep = async {
                match next {
                    Some(at) => self.host.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => return,
                () = self.host.alarm.moved() => {}
            }
        }
    }

    async fn next_wake(&self) -> Option<Timestamp> {
        let queues: Vec<String> = self
            .host
            .config
            .queues
            .iter()
            .map(|(queue, _)| queue.clone())
            .collect();
        let workflows = self.workflows.clone();
        let read = self
            .host
            .read(move |store| store.next_wake(&queues, &workflows))
            .await;
        read.unwrap_or_else(|error| {
            tracing::warn!(target: TARGET, %error, "the next wake-up could not be read");
            None
        })
    }
}
