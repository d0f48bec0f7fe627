//! Asks the database what time it is, where it has a clock that hosts share.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::host::Host;
use crate::clock::database::{DatabaseClock, Sample};
use crate::store::{Store, StoreResult};
use crate::telemetry::TARGET;

/// The first reading is the best of so many.
const FIRST_SAMPLES: usize = 3;

/// A clock that shows the database's time; `None` where the host's is meant. Blocks.
pub fn open(store: &dyn Store) -> StoreResult<Option<Arc<DatabaseClock>>> {
    if !store.capabilities().own_clock {
        return Ok(None);
    }
    let Some(first) = sample(store)? else {
        return Ok(None);
    };
    let clock = DatabaseClock::new(&first);
    for _ in 1..FIRST_SAMPLES {
        if let Some(sample) = sample(store)? {
            clock.correct(&sample);
        }
    }
    Ok(Some(Arc::new(clock)))
}

/// Corrects the host's clock as often as a heartbeat, for as long as the engine lives.
pub async fn keep(host: Arc<Host>) {
    let Some(clock) = host.database_clock.clone() else {
        return;
    };
    while !host.over.load(Ordering::Acquire) {
        tokio::time::sleep(host.config.heartbeat).await;
        match host.read(sample).await {
            Ok(Some(sample)) => {
                clock.correct(&sample);
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(target: TARGET, %error, "the database's clock could not be read");
            }
        }
    }
}

/// The instants around the question are taken next to it: a thread that waits for its turn says nothing about
/// the way to the database.
fn sample(store: &dyn Store) -> StoreResult<Option<Sample>> {
    let asked = Instant::now();
    let at = store.database_now()?;
    let answered = Instant::now();
    Ok(at.map(|at| Sample {
        at,
        asked,
        answered,
    }))
}
