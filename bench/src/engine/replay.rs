//! A run with a long history that is woken in a new process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono_forge::prelude::*;

use crate::meter::Meter;
use crate::place::Place;
use crate::sample::Sample;

/// The run's key.
const KEY: &str = "long";

/// Whether the gate is open, and when the first new step began.
#[derive(Default)]
pub struct Gate {
    is_open: bool,
    first_new_step: Mutex<Option<Instant>>,
}

impl Gate {
    async fn is_open(&self) -> Result<bool> {
        Ok(self.is_open)
    }

    async fn first_new_step(&self) -> Result<()> {
        let mut instant = self
            .first_new_step
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        instant.get_or_insert_with(Instant::now);
        Ok(())
    }
}

/// Records this many steps, then waits at the gate.
#[workflow(name = "history")]
async fn history(gate: State<Arc<Gate>>, records: u64) -> Result<u64> {
    let mut sum = 0;
    for n in 0..records {
        sum += step!("n{n}", { Ok(n) }).await?;
    }
    continue_if!("gate", gate.is_open()).await?;
    step!(gate.first_new_step()).await?;
    Ok(sum)
}

/// Records the history and leaves the run parked.
pub fn record(place: &Place, records: u64) -> anyhow::Result<Sample> {
    super::block_on(async {
        let gate = Arc::new(Gate::default());
        let builder = super::builder(place, [history::NAME]);
        let forge = builder.state(gate).open().await?;
        let meter = Meter::start(place)?;
        let run = forge.start(KEY, history(records)).await?;
        while run.state().await? != chrono_forge::RunState::Idle {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sample = meter.stop(records);
        forge.shutdown().await;
        Ok(sample)
    })
}

/// Wakes it: from the call until the first new step's body begins.
pub fn resume(place: &Place, records: u64) -> anyhow::Result<Sample> {
    super::block_on(async {
        let gate = Arc::new(Gate {
            is_open: true,
            ..Gate::default()
        });
        let builder = super::builder(place, [history::NAME]);
        let forge = builder.state(Arc::clone(&gate)).open().await?;
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        let woken = Instant::now();
        forge.wake::<history>(KEY).await?;
        let run = forge.get::<history>(KEY).await?;
        let run = run.ok_or_else(|| anyhow::anyhow!("the run is gone"))?;
        run.result().await?;
        let first = *gate
            .first_new_step
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let first = first.ok_or_else(|| anyhow::anyhow!("no new step"))?;
        let sample = Sample {
            units: records,
            commits: Some(forge.commits() - commits),
            ..meter.stop_each(&[first - woken])
        };
        forge.shutdown().await;
        Ok(sample)
    })
}
