//! Clients that each start a run and wait for its result before they start the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono_forge::{Forge, Invocation};

/// How many there are.
const CLIENTS: u64 = 64;

/// Runs of all clients together; answers how long each took from its start to its result.
pub async fn closed_loop(
    forge: &Forge,
    name: &'static str,
    runs: u64,
    invoke: fn(u64) -> Invocation<u64>,
) -> anyhow::Result<Vec<Duration>> {
    let next = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (forge, next) = (forge.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs {
                        return anyhow::Ok(times);
                    }
                    let begun = Instant::now();
                    let started = forge.start(&format!("{name}{run}"), invoke(run)).await?;
                    started.result().await?;
                    times.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await??);
    }
    Ok(times)
}
