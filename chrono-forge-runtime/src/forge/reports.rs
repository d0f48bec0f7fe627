//! The reporter of one engine: tells in time what nobody else would: which runs wait for a worker
//! that is not there, or that has no room; and how large a storm was.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::unserved;
use crate::clock::{after, until};
use crate::engine::host::Host;
use crate::store::StoreResult;
use crate::telemetry::TARGET;

/// Between two looks at runs that wait, and how long one has to wait to be told of.
const MINUTE: Duration = Duration::from_secs(60);

/// Between two looks at what was counted.
const COUNTS: Duration = Duration::from_secs(10);

/// How long runs had waited in a queue when that was told last.
type Told = HashMap<String, Duration>;

/// Reports until the engine ends: at once, and then each minute.
pub(super) async fn keep(host: Arc<Host>) {
    let mut told = Told::new();
    let mut waited = Duration::ZERO;
    let mut before = None;
    loop {
        let now = host.clock.now();
        let looked = look(&host, waited, (before, now), &mut told).await;
        before = Some(now);
        if let Err(error) = looked {
            // The database is away, of which others tell.
            tracing::debug!(target: TARGET, %error, "nobody knows which runs wait");
        }
        waited = MINUTE;
        tokio::select! {
            () = minute(&host) => {}
            () = tell_counts(&host) => {}
        }
    }
}

/// A minute of the workflows' time, in which instants are compared here; where nobody moves it by
/// hand it is one of real time, whatever the clock is set to meanwhile.
async fn minute(host: &Host) {
    if host.clock.is_virtual() {
        host.clock
            .sleep_until(after(host.clock.now(), MINUTE))
            .await;
    } else {
        tokio::time::sleep(MINUTE).await;
    }
}

async fn tell_counts(host: &Host) {
    loop {
        tokio::time::sleep(COUNTS).await;
        host.report.tell_counts();
    }
}

/// Tells of runs that nobody serves and that have waited for so long, and of those that were due at
/// the look before and still are: what a process that was away, or a clock that leapt, made wait is
/// none of them.
async fn look(
    host: &Arc<Host>,
    waited: Duration,
    (before, now): (Option<Timestamp>, Timestamp),
    told: &mut Told,
) -> StoreResult<()> {
    for unserved in unserved::look(host, now).await? {
        if until(unserved.due_since, now) >= waited {
            host.report.unserved(unserved.due_since, &unserved);
        }
    }
    for (queue, slots) in &host.config.queues {
        let oldest = oldest(host, queue, now).await?;
        if let Some((workflow, since)) = oldest.filter(|(_, since)| Some(*since) <= before) {
            let waits = until(since, now);
            // A fan-out may keep a queue busy for hours: told after 1, 2, 4, 8, .. minutes.
            if told
                .get(queue)
                .is_none_or(|before| waits >= before.saturating_mul(2))
            {
                told.insert(queue.clone(), waits);
                host.report.waits_long(queue, &workflow, since, *slots);
            }
        } else {
            told.remove(queue);
        }
    }
    Ok(())
}

/// The workflow whose run has waited longest in this queue, if that is for longer than a minute,
/// and since when.
async fn oldest(
    host: &Arc<Host>,
    queue: &str,
    now: Timestamp,
) -> StoreResult<Option<(String, Timestamp)>> {
    let queues = vec![queue.to_owned()];
    let since = |workflows: Vec<String>| {
        let queues = queues.clone();
        let read = host.read(move |store| store.next_wake(&queues, &workflows));
        async move {
            let due = read.await?.filter(|due| due.is_due(now));
            let since = due.map(|due| due.since());
            StoreResult::Ok(since.filter(|since| until(*since, now) >= MINUTE))
        }
    };
    let workflows = host.registry.names();
    let Some(oldest) = since(workflows.clone()).await? else {
        return Ok(None);
    };
    for workflow in workflows {
        if since(vec![workflow.clone()]).await? == Some(oldest) {
            return Ok(Some((workflow, oldest)));
        }
    }
    // It was claimed meanwhile.
    Ok(None)
}
