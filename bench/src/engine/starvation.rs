//! Small runs that come to an engine which is in the middle of somebody else's large fan-out.

mod clients;

use std::sync::Arc;
use std::time::Duration;

use chrono_forge::{Forge, Workflow};
use serde::{Deserialize, Serialize};

use super::fanout::{child, parent};
use crate::meter::Meter;
use crate::place::Place;
use crate::quantiles::Quantiles;
use crate::sample::{Sample, Timed};
use clients::{Clients, Times, family, member, newcomer};

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// Of the fan-out.
    pub children: u64,
    /// How long the small runs come to the idle engine first.
    pub idle_ms: u64,
}

/// The names of what is timed; each comes from the idle engine and, as `..`, from beside the fan-out.
pub const FIRST_LINE: &str = "first_line";
pub const RESULT: &str = "result";
pub const TEN_CHILDREN: &str = "ten_children";

/// The same small runs on the idle engine, then beside the fan-out until that is over. The sample is
/// the fan-out's.
pub fn measure(place: &Place, shape: &Shape) -> anyhow::Result<Sample> {
    super::block_on(async {
        let times = Arc::new(Times::default());
        let served = [
            parent::NAME,
            child::NAME,
            newcomer::NAME,
            family::NAME,
            member::NAME,
        ];
        let builder = super::builder(place, served).state(Arc::clone(&times));
        let forge = builder.open().await?;
        let idle = Clients::begin(&forge, &times, "idle");
        tokio::time::sleep(Duration::from_millis(shape.idle_ms)).await;
        idle.end().await?;
        let idle = times.take();

        let commits = forge.commits();
        let meter = Meter::start(place)?;
        let busy = Clients::begin(&forge, &times, "busy");
        let counted = fan_out(&forge, shape.children).await?;
        let mut sample = super::finish(&meter, &forge, commits, shape.children);
        busy.end().await?;
        anyhow::ensure!(counted == shape.children, "{counted} children");
        let busy = times.take();
        forge.shutdown().await;
        for (name, idle, busy) in [
            (FIRST_LINE, idle.first_lines, busy.first_lines),
            (RESULT, idle.results, busy.results),
            (TEN_CHILDREN, idle.ten_children, busy.ten_children),
        ] {
            let timed = Quantiles::of(idle).zip(Quantiles::of(busy));
            let (idle, busy) = timed.ok_or_else(|| anyhow::anyhow!("{name} was never timed"))?;
            sample.timed.insert(name.to_owned(), Timed { idle, busy });
        }
        Ok(sample)
    })
}

async fn fan_out(forge: &Forge, children: u64) -> anyhow::Result<u64> {
    Ok(forge.start("p", parent(children)).await?.result().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_small_run_is_timed_idle_and_beside_the_fan_out() {
        let home = tempfile::tempdir().unwrap();
        let shape = Shape {
            children: 2_000,
            idle_ms: 300,
        };
        let sample = measure(&Place::File(home.path().join("bench.db")), &shape).unwrap();
        assert_eq!(sample.units, 2_000);
        for name in [FIRST_LINE, RESULT, TEN_CHILDREN] {
            let timed = sample.timed[name];
            assert!(timed.idle.n > 0 && timed.busy.n > 0, "{name}: {timed:?}");
            assert!(timed.busy.p50_ms > 0.0, "{name}: {timed:?}");
        }
    }
}
