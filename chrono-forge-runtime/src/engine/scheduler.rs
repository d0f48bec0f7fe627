//! Claims due runs into free slots; sleeps until something can be due.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::host::Host;
use crate::record::{ClaimedRun, Due};
use crate::store::{ClaimRequest, Claims, Room, StoreErrorKind, StoreResult};
use crate::telemetry::{TARGET, Trouble};

/// Every so many claims the least urgent level goes first, so that a busy top level starves nobody.
const LOWEST_FIRST_EVERY: u64 = 16;

/// How often a scheduler that sleeps looks whether something waits too long for a slot, or room has come back.
const LOOK_AT_SLOTS: Duration = Duration::from_millis(250);

/// The same while no slot is taken: an idle process should sleep.
const LOOK_AT_FREE_SLOTS: Duration = Duration::from_secs(1);

/// See [`Scheduler::next_wake`].
type Look = Pin<Box<dyn Future<Output = Option<Due>> + Send>>;

/// How long a scheduler pauses whose claim took nothing of what is due, at first; then twice as
/// long each time.
const FRUITLESS: Duration = Duration::from_millis(10);

/// At most ten claims a second that can be in vain.
const FRUITLESS_MAX: Duration = Duration::from_millis(100);

/// The longest pause after a claim that failed, however seldom a worker looks otherwise.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The scheduler of one worker.
pub struct Scheduler {
    /// The look for the next wake-up that is under way: one at a time, however often the sleeper is woken.
    look: Option<Look>,
    host: Arc<Host>,
    /// Served names, rotated by one with every claim.
    workflows: Vec<String>,
    claims: u64,
    /// The pause after the next claim that takes nothing of what is due.
    pause: Duration,
    trouble: Trouble,
}

impl Scheduler {
    /// A scheduler over the host's registry and queues.
    #[must_use]
    pub fn new(host: Arc<Host>) -> Self {
        let workflows = host.registry.names();
        Self {
            look: None,
            host,
            workflows,
            claims: 0,
            pause: FRUITLESS,
            trouble: Trouble::default(),
        }
    }

    /// Runs until the host closes.
    pub async fn run(mut self) {
        while !self.host.closing.load(Ordering::Acquire) {
            self.hand_back_overdue();
            match self.claim().await {
                Ok(taken) if taken > 0 => self.pause = FRUITLESS,
                Ok(_) => self.rest().await,
                Err(error) => {
                    // One that is over has told why, if there is anything to tell.
                    if error.kind != StoreErrorKind::Closed {
                        self.trouble.tell(&error, "a claim failed");
                    }
                    tokio::time::sleep(self.host.config.poll_interval.min(PAUSE_MAX)).await;
                }
            }
        }
    }

    /// What was claimed ahead and no slot has begun is left to others.
    fn hand_back_overdue(&self) {
        let overdue = self.host.slots.take_overdue(Instant::now());
        if !overdue.is_empty() {
            self.host.hand_back(&overdue);
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
        self.trouble.end("claims succeed again");
        let taken = claims.runs.len();
        for room in &wanted {
            let of_queue = |run: &&ClaimedRun| *run.queue == *room.queue;
            let runs: Vec<&ClaimedRun> = claims.runs.iter().filter(of_queue).collect();
            self.host.slots.claimed(room, &runs, self.lowest_first());
        }
        self.host.offer(claims.runs);
        Ok(taken)
    }

    fn lowest_first(&self) -> bool {
        self.claims.is_multiple_of(LOWEST_FIRST_EVERY)
    }

    async fn ask(&mut self, wanted: Vec<Room>) -> StoreResult<Claims> {
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

    /// Sleeps until the next known wake-up, or a signal. At each poll interval it looks for a
    /// wake-up that nobody has told of: that takes one statement, and a claim that takes nothing
    /// would be another two.
    async fn rest(&mut self) {
        let mut has_claimed = true;
        while self.rest_until_poll(has_claimed).await {
            self.hand_back_overdue();
            has_claimed = false;
        }
    }

    /// Whether the poll interval is over, and nothing else.
    async fn rest_until_poll(&mut self, has_claimed: bool) -> bool {
        let host = Arc::clone(&self.host);
        let poll = tokio::time::sleep(host.config.poll_interval);
        let (mut sleep, mut poll) = (pin!(self.sleep(has_claimed)), pin!(poll));
        loop {
            let look = match host.slots.are_free() {
                true => LOOK_AT_FREE_SLOTS,
                false => LOOK_AT_SLOTS,
            };
            tokio::select! {
                // Also while it looks: every reader may be at work for long.
                () = host.work.notified() => return false,
                () = &mut sleep => return false,
                () = &mut poll => return true,
                () = tokio::time::sleep(look) => {}
            }
            // Slots fill up, and room is kept, without anybody telling.
            let now = Instant::now();
            if host.slots.next_change().is_some_and(|at| at <= now) {
                return false;
            }
        }
    }

    async fn sleep(&mut self, has_claimed: bool) {
        if self.host.slots.wanted().is_empty() {
            // No room: the next body that ends asks again.
            return pending().await;
        }
        let host = Arc::clone(&self.host);
        host.alarm.reset();
        if let Some(earlier) = &mut self.look {
            // It may have begun before the last claim.
            earlier.await;
            self.look = None;
        }
        let look = self.next_wake();
        let next = self.look.insert(Box::pin(look)).await;
        self.look = None;
        // Already due, and yet the claim took nothing: another worker is at it, or a quarantined
        // run waits for its turn, which can take as long as the step of another one. Do not spin.
        if has_claimed && next.is_some_and(|due| due.is_due(self.host.clock.now())) {
            let pause = self.pause;
            self.pause = (2 * pause).min(FRUITLESS_MAX);
            tokio::time::sleep(pause).await;
        }
        sleep_until_due(&host, next).await;
    }

    fn next_wake(&self) -> impl Future<Output = Option<Due>> + Send + use<> {
        let host = Arc::clone(&self.host);
        let queues = host.config.queues.iter();
        let queues: Vec<String> = queues.map(|(queue, _)| queue.clone()).collect();
        let workflows = self.workflows.clone();
        async move {
            let read = host.read(move |store| store.next_wake(&queues, &workflows));
            read.await.unwrap_or_else(|error| {
                tracing::warn!(target: TARGET, %error, "the next wake-up could not be read");
                None
            })
        }
    }
}

/// Sleeps until this instant, or the one of a run that is parked meanwhile.
async fn sleep_until_due(host: &Host, known: Option<Due>) {
    if let Some(Due::AtOnce { .. }) = known {
        return;
    }
    let known = known.and_then(Due::instant);
    loop {
        let next = [known, host.alarm.next()].into_iter().flatten().min();
        let sleep = async {
            match next {
                Some(at) => host.clock.sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = sleep => return,
            () = host.alarm.moved() => {}
        }
    }
}
