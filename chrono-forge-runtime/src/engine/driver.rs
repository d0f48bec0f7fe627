//! The driver: polls one body and carries out what its ledger decides.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::coop::consume_budget;

use super::outcome::Ending;
use super::panics;
use super::pass::{Move, OpId, Pass, Sight};
use crate::definition::BodyFuture;
use crate::record::RecordId;
use crate::store::{Store, StoreResult};

/// The pause after a failed read; the database may come back.
const READ_PAUSE: Duration = Duration::from_millis(50);

/// How often a body that asks for it is polled again at once. A bound, for one that always asks.
const SPINS_MAX: u32 = 100;

/// Drives a body until its pass ends. The body is left for the caller to drop.
pub async fn drive(pass: &Arc<Pass>, body: &mut BodyFuture) -> Ending {
    let waker = Waker::from(Arc::clone(&pass.root));
    let mut quiet_since = Instant::now();
    let mut poll = true;
    let mut spins = 0;
    loop {
        consume_budget().await;
        if pass.root.take_poll_wanted() || poll {
            pass.polling.begin();
            let polled = pass
                .scope(|| panics::catch(|| body.as_mut().poll(&mut Context::from_waker(&waker))));
            pass.polling.end();
            quiet_since = Instant::now();
            if let Some(ending) = interrupted(pass) {
                return ending;
            }
            match polled {
                Err(failure) => return Ending::Panicked(failure),
                Ok(Poll::Ready(result)) => return Ending::Returned(result),
                Ok(Poll::Pending) => {}
            }
            // A combinator that yields (`FuturesUnordered` does, when it is woken while it polls) has
            // not polled everyone: who was given an outcome must take it before the next is released.
            if spins < SPINS_MAX && pass.root.is_poll_wanted() {
                spins += 1;
                continue;
            }
        } else if let Some(ending) = interrupted(pass) {
            return ending;
        }
        spins = 0;
        let sight = Sight {
            now: pass.now(),
            real_now: Instant::now(),
            quiet_since,
            root_cloned: pass.root.has_clones(),
            may_begin: pass.host.is_trusted(),
        };
        let next = pass.next_move(sight);
        poll = matches!(next, Move::Poll);
        match next {
            Move::Poll => {}
            Move::Wait { until, real } => wait(pass, until, real).await,
            Move::Park {
                wake_at,
                to_retry,
                dropped_foreign,
            } => {
                return Ending::Parked {
                    wake_at,
                    to_retry,
                    dropped_foreign,
                };
            }
            Move::LoadResult(id, record) => load_result(pass, id, record).await,
            Move::CheckMerge(id, names) => check_merge(pass, id, names).await,
        }
    }
}

/// Never because the lease is in doubt: what has ended meanwhile is submitted, and the fence decides.
fn interrupted(pass: &Pass) -> Option<Ending> {
    let ledger = pass.ledger();
    if ledger.lost {
        return Some(Ending::Lost);
    }
    ledger.fatal.clone().map(Ending::Broken)
}

async fn wait(pass: &Arc<Pass>, until: Option<Timestamp>, real: Option<Instant>) {
    pass.flush();
    let signaled = pass.root.signaled();
    match (until, real) {
        (None, None) => signaled.await,
        (until, real) => {
            tokio::select! {
                () = signaled => {}
                () = sleep_until(pass, until) => {}
                () = sleep_real(real) => {}
            }
        }
    }
}

async fn sleep_until(pass: &Pass, until: Option<Timestamp>) {
    match until {
        Some(instant) => pass.host.clock.sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

async fn sleep_real(until: Option<Instant>) {
    match until {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

async fn load_result(pass: &Arc<Pass>, id: OpId, record: RecordId) {
    if let Some(result) = read(pass, move |store| store.result(record)).await {
        pass.ledger().result_loaded(id, result);
    }
}

async fn check_merge(pass: &Arc<Pass>, id: OpId, names: Vec<String>) {
    // What this pass has dispatched and sealed must be in the rows that are read.
    let number = {
        let mut ledger = pass.ledger();
        pass.flush_now(&mut ledger)
    };
    while !pass.ledger().is_acked(number) && interrupted(pass).is_none() {
        pass.root.signaled().await;
    }
    let run = pass.run.id;
    if let Some(rows) = read(pass, move |store| store.branches(run, &names)).await {
        let now = pass.now();
        pass.ledger().merge_checked(id, &rows, now);
    }
}

/// Reads until it succeeds or the pass is over: a database that is away is never an error of the
/// workflow.
pub async fn read<T: Send + 'static>(
    pass: &Arc<Pass>,
    read: impl Fn(&dyn Store) -> StoreResult<T> + Clone + Send + 'static,
) -> Option<T> {
    loop {
        match pass.host.read(read.clone()).await {
            Ok(value) => return Some(value),
            Err(error) => {
                pass.host.tell_read(&error, pass.run.id);
                if !error.is_transient() {
                    pass.lose();
                }
            }
        }
        if interrupted(pass).is_some() {
            return None;
        }
        tokio::time::sleep(READ_PAUSE).await;
    }
}
