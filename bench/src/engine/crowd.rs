//! Runs that park and are claimed again, beside a crowd that sleeps or that nobody here can execute.

use std::path::Path;

use chrono_forge::prelude::*;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::clients::closed_loop;
use crate::floor::crowd::{self, Cost, Kind, QUEUES, Served, WORKFLOWS};
use crate::meter::Meter;
use crate::place::Place;
use crate::quantiles::Quantiles;
use crate::sample::{self, Costs, Sample};

/// Runs before anything is measured.
const WARM_UP: u64 = 500;

/// How long a run is parked.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(1);

/// A worker that serves much.
const WIDE: (usize, usize) = (4, 50);

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    pub kind: Kind,
    pub crowd: u64,
    /// Runs that work meanwhile.
    pub runs: u64,
}

/// Parks for a moment, so that each run is claimed from the database once.
#[workflow(name = "doze")]
async fn doze(n: u64) -> Result<u64> {
    wait!("moment", MOMENT).await;
    Ok(step!("double", { Ok(n * 2) }).await?)
}

#[workflow(name = "nap-a")]
async fn nap_a() -> Result<()> {
    Ok(())
}

#[workflow(name = "nap-b", queue = "naps")]
async fn nap_b() -> Result<()> {
    Ok(())
}

#[workflow(name = "nap-c", queue = "naps")]
async fn nap_c() -> Result<()> {
    Ok(())
}

/// The runs' rate and latency, and what a claim costs.
pub fn measure(place: &Place, shape: &Shape) -> anyhow::Result<Sample> {
    super::block_on(async {
        // The engine creates its schema; the crowd is entered between two of its lives.
        open(place).await?.shutdown().await;
        crowd::enter(place, shape.kind, shape.crowd)?;
        let costs = match place {
            Place::File(path) => Some(costs(path)?),
            #[cfg(feature = "postgres")]
            Place::Schema(_) => None,
        };
        let forge = open(place).await?;
        closed_loop(&forge, "w", WARM_UP, doze).await?;
        let commits = forge.commits();
        let meter = Meter::start(place)?;
        let times = closed_loop(&forge, "r", shape.runs, doze).await?;
        let mut sample = super::finish(&meter, &forge, commits, shape.runs);
        forge.shutdown().await;
        let result = Quantiles::of(times);
        sample.crowd = result.map(|result| sample::Crowd { result, costs });
        Ok(sample)
    })
}

fn costs(path: &Path) -> anyhow::Result<Costs> {
    let conn = Connection::open(path)?;
    let told = |name: &str| vec![name.to_owned()];
    let one = Served {
        queues: told(QUEUES[0]),
        workflows: told(WORKFLOWS[0]),
    };
    Ok(Costs {
        narrow: Cost::of(&conn, &one)?,
        cost: Cost::of(&conn, &served(QUEUES.len(), WORKFLOWS.len()))?,
        wide: Cost::of(&conn, &served(WIDE.0, WIDE.1))?,
    })
}

async fn open(place: &Place) -> anyhow::Result<chrono_forge::Forge> {
    let workflows = [doze::NAME, nap_a::NAME, nap_b::NAME, nap_c::NAME];
    let builder = super::builder(place, workflows);
    let [default, naps] = QUEUES;
    Ok(builder.queue(default, 64).queue(naps, 64).open().await?)
}

/// So many of each; the first ones are those of the crowd.
fn served(queues: usize, workflows: usize) -> Served {
    let names = |known: &[&str], count: usize| {
        let known = known.iter().map(|name| (*name).to_owned());
        known
            .chain((0..).map(|n| format!("other-{n}")))
            .take(count)
            .collect()
    };
    Served {
        queues: names(&QUEUES, queues),
        workflows: names(&WORKFLOWS, workflows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_beside_a_crowd_are_timed_and_claims_are_counted() {
        for kind in [Kind::Sleepers, Kind::Unclaimable] {
            let home = tempfile::tempdir().unwrap();
            let shape = Shape {
                kind,
                crowd: 400,
                runs: 100,
            };
            let sample = measure(&Place::File(home.path().join("bench.db")), &shape).unwrap();
            assert_eq!(sample.units, 100);
            let crowd = sample.crowd.unwrap();
            assert_eq!(crowd.result.n, 100);
            let costs = crowd.costs.unwrap();
            let ranges = [costs.narrow, costs.cost, costs.wide].map(|cost| cost.ranges);
            assert_eq!(ranges, [16 + 1, 2 * 16 + 2 * 4, 4 * 16 + 2 * 50]);
        }
    }
}
