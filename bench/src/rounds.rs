//! Floor and engine in turns, since the machine's speed drifts.

use anyhow::Result;

use crate::job::Job;
use crate::machine::Steal;
use crate::place::Ground;
use crate::sample::Sample;

/// Samples in the order of the rounds; without a floor that side is empty.
#[derive(Debug)]
pub struct Rounds {
    pub engine: Vec<Sample>,
    pub floor: Vec<Sample>,
    pub steal_percent: Option<f64>,
}

impl Rounds {
    /// Each side once a round; the one that goes first changes.
    pub fn paired(ground: &Ground, rounds: u32, floor: &Job, engine: &Job) -> Result<Self> {
        let before = Steal::now();
        let (mut floors, mut engines) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            if round % 2 == 0 {
                floors.push(floor.run_in(ground)?);
            }
            engines.push(engine.run_in(ground)?);
            if round % 2 == 1 {
                floors.push(floor.run_in(ground)?);
            }
            progress(round, engines.last(), floors.last());
        }
        Ok(Self {
            engine: engines,
            floor: floors,
            steal_percent: Steal::percent_since(before),
        })
    }

    /// One side alone.
    pub fn single(rounds: u32, mut measure: impl FnMut() -> Result<Sample>) -> Result<Self> {
        let before = Steal::now();
        let mut engine = Vec::new();
        for round in 0..rounds {
            engine.push(measure()?);
            progress(round, engine.last(), None);
        }
        Ok(Self {
            engine,
            floor: Vec::new(),
            steal_percent: Steal::percent_since(before),
        })
    }

    /// How fast the engine was, as a part of the floor, round by round: by the median of single
    /// units where both sides have one, else by the rates.
    pub fn ratios(&self) -> Vec<f64> {
        let pairs = self.engine.iter().zip(&self.floor);
        pairs
            .map(|(engine, floor)| match (engine.p50_ms, floor.p50_ms) {
                (Some(engine), Some(floor)) => floor / engine,
                _ => engine.per_second() / floor.per_second(),
            })
            .collect()
    }
}

fn progress(round: u32, measured: Option<&Sample>, floor: Option<&Sample>) {
    let mut line = format!("round {}:", round + 1);
    for (name, sample) in [("", measured), (" beside a floor of", floor)] {
        if let Some(sample) = sample {
            line.push_str(&format!("{name} {:.0}/s", sample.per_second()));
        }
    }
    eprintln!("{line}");
}
