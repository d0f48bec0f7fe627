//! The driver: polls one body and carries out what its ledger decides.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::coop::consume_budget;

use super::applications;
use super::outcome::Ending;
use super::panics;
use super::pass::{Move, OpId, Pass, Sight, Thrown};
use crate::definition::{BodyFuture, Definition};
use crate::error::DefinitionError;
use crate::record::RecordId;
use crate::store::{Store, StoreError, StoreErrorKind, StoreResult};

/// The pause after a failed read; the database may come back.
const READ_PAUSE: Duration = Duration::from_millis(50);

/// How often a body that asks for it is polled again at once. A bound, for one that always asks.
const SPINS_MAX: u32 = 100;

/// Drives a body until its pass ends. The body is left for the caller to drop.
pub async fn drive(pass: &Arc<Pass>, body: &mut BodyFuture) -> Ending {
    let waker = Waker::from(Arc::clone(&pass.root));
    let mut quiet_since = None;
    let mut poll = true;
    let mut spins = 0;
    let mut asked = None;
    loop {
        consume_budget().await;
        if pass.root.take_poll_wanted() || poll {
            pass.polling.begin();
            // Telling the error of a body, or dropping it, is user code as the body is.
            let polled = pass.scope(|| {
                panics::catch(|| {
                    let polled = body.as_mut().poll(&mut Context::from_waker(&waker));
                    polled.map(|returned| returned.map_err(Thrown::from))
                })
            });
            pass.polling.end();
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
        let real_now = Instant::now();
        if poll {
            // The engine itself has done something. A foreign timer that fires again and again only
            // has the body polled, which tells nothing.
            quiet_since = Some(real_now);
        }
        let next = pass.next_move(Sight {
            now: pass.now(),
            is_virtual: pass.host.clock.is_virtual(),
            real_now,
            quiet_since: quiet_since.unwrap_or(real_now),
            root_cloned: pass.root.has_clones(),
            may_begin: &|| pass.host.is_trusted(),
        });
        poll = matches!(next, Move::Poll);
        match next {
            Move::Poll => {}
            Move::Wait { until, real } => wait(pass, until, real, &mut asked).await,
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
            Move::LoadResult(id, record) => asked = Some(load_result(pass, id, record)),
            Move::CheckMerge(id, names) => asked = Some(check_merge(pass, id, names)),
        }
    }
}

/// Never because the lease is in doubt: what has ended meanwhile is submitted, and the fence decides.
fn interrupted(pass: &Pass) -> Option<Ending> {
    let ledger = pass.ledger();
    if ledger.lost {
        return Some(Ending::Lost);
    }
    ledger.broken_rule().map(Ending::Broken)
}

/// What the ledger needs from the database before anything else is released. The body is polled
/// meanwhile, because attempts that are under way go on however long the database takes.
type Asked = Pin<Box<dyn Future<Output = ()> + Send>>;

fn holding(pass: &Arc<Pass>, asking: impl Future<Output = ()> + Send + 'static) -> Asked {
    let hold = pass.hold();
    Box::pin(async move {
        asking.await;
        drop(hold);
    })
}

async fn wait(
    pass: &Arc<Pass>,
    until: Option<Timestamp>,
    real: Option<Instant>,
    asked: &mut Option<Asked>,
) {
    pass.host.failpoints.reach("flush");
    pass.flush();
    let signaled = pass.root.signaled();
    if let Some(asking) = asked {
        // The pass is held, so there is no instant to wait for.
        tokio::select! {
            () = signaled => {}
            () = asking => *asked = None,
        }
        return;
    }
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

fn load_result(pass: &Arc<Pass>, id: OpId, record: RecordId) -> Asked {
    let reader = Arc::clone(pass);
    holding(pass, async move {
        let run = reader.run.id;
        match read(&reader, move |store| store.result(run, record)).await {
            None => {}
            Some(None) => unseen(&reader, &format!("the result of record {}", record.0)),
            Some(result) => reader.ledger().result_loaded(id, result),
        }
    })
}

fn check_merge(pass: &Arc<Pass>, id: OpId, names: Vec<String>) -> Asked {
    let checker = Arc::clone(pass);
    holding(pass, async move {
        // What this pass has dispatched and sealed must be in the rows that are read.
        let number = checker.flush_now(&mut checker.ledger());
        poll_fn(|cx| match checker.poll_acked(number, cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        let run = checker.run.id;
        let rows = read(&checker, move |store| store.branches(run, &names)).await;
        if let Some(rows) = rows {
            let now = checker.now();
            checker.ledger().merge_checked(id, &rows, now);
        }
    })
}

/// What the engine wrote is not there: no fault of the run's, which waits until it can be seen again.
fn unseen(pass: &Pass, what: &str) {
    let error = StoreError::new(
        "read",
        StoreErrorKind::Corrupt,
        format!(
            "{what} was recorded and cannot be seen: it was deleted by hand, or something hides it from this role"
        ),
    );
    pass.host.tell_read(&error, pass.run.id);
    pass.lose();
}

/// Reads until it succeeds or the pass is over.
pub async fn read<T: Send + 'static>(
    pass: &Arc<Pass>,
    read: impl Fn(&dyn Store) -> StoreResult<T> + Clone + Send + 'static,
) -> Option<T> {
    answered(pass, move || pass.host.read(read.clone())).await
}

/// As [`read`], for what a body asks for of its children, which may take long.
pub async fn read_in_bulk<T: Send + 'static>(
    pass: &Arc<Pass>,
    read: impl Fn(&dyn Store) -> StoreResult<T> + Clone + Send + 'static,
) -> Option<T> {
    answered(pass, move || pass.host.read_in_bulk(read.clone())).await
}

/// Claims the name of a workflow that is about to be spawned, unless somebody has it already.
pub async fn claim_name(pass: &Arc<Pass>, definition: &'static Definition) -> Option<()> {
    let names = [definition];
    answered(pass, || applications::claim(&pass.host, &names)).await
}

/// Asks until there is an answer or the pass is over: a database that is away is never an error of
/// the workflow.
async fn answered<T, A>(pass: &Arc<Pass>, mut ask: impl FnMut() -> A) -> Option<T>
where
    A: Future<Output = StoreResult<T>>,
{
    loop {
        match ask().await {
            Ok(value) => return Some(value),
            Err(error) => {
                pass.host.tell_read(&error, pass.run.id);
                match error.kind {
                    StoreErrorKind::Transient => {}
                    // What the database never takes is of the run's own bytes: it would be refused again and again.
                    StoreErrorKind::Refused => {
                        let problem = error.to_string();
                        pass.break_rule(DefinitionError::Refused { problem });
                    }
                    _ => pass.lose(),
                }
            }
        }
        if interrupted(pass).is_some() {
            return None;
        }
        tokio::time::sleep(READ_PAUSE).await;
    }
}
