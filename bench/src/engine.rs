//! The engine's side: the measured workflows, written and started as a user does.

pub mod blocked;
mod clients;
pub mod crowd;
pub mod fanout;
pub mod heartbeat;
pub mod join;
pub mod replay;
pub mod starvation;
pub mod steps;
pub mod storm;

use anyhow::Result;
use chrono_forge::{Builder, Forge};

use crate::meter::Meter;
use crate::place::Place;
use crate::sample::Sample;

/// An engine with every default over this file, serving these workflows.
pub fn builder<const N: usize>(place: &Place, workflows: [&str; N]) -> Builder {
    Forge::builder(&place.url()).workflows(workflows)
}

/// Runs this on Tokio as `#[tokio::main]` sets it up.
pub fn block_on<T>(measure: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(measure)
}

/// What was measured, with the transactions that it took.
pub fn finish(meter: &Meter, forge: &Forge, commits_before: u64, units: u64) -> Sample {
    let mut sample = meter.stop(units);
    sample.commits = Some(forge.commits() - commits_before);
    sample
}
