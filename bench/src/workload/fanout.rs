//! A parent of many children, from its start to its result.

use anyhow::Result;

use crate::cli::{Common, Fanout, Store};
use crate::engine;
use crate::floor::fanout::Shape;
use crate::job::Job;
use crate::report::Report;
use crate::rounds::Rounds;

/// Children of the run whose memory the large one's is compared with.
const FEW: u64 = 1_000;

pub fn run(common: &Common, asked: &Fanout) -> Result<Report> {
    let ground = common.ground()?;
    let children = asked.children;
    let floor = Job::FanoutFloor(Shape {
        children,
        batch: asked.batch,
        writers: asked.writers,
        claimed: true,
    });
    let engine = |children| {
        Job::FanoutEngine(engine::fanout::Shape {
            slots: asked.slots,
            writers: asked.writers,
            processes: asked.processes,
            ..engine::fanout::Shape::of(children)
        })
    };
    let few = engine(FEW).run_in(&ground)?;
    let engine = engine(children);
    let rounds = Rounds::paired(&ground, common.rounds, &floor, &engine)?;
    let report = Report::of("fanout", goal(common.store), &rounds);
    Ok(report.with("rss_peak_mb_1000", few.rss_peak_mb))
}

fn goal(store: Store) -> &'static str {
    match store {
        Store::Sqlite => "ratio >= 0.5, commits per unit <= 0.1",
        #[cfg(feature = "postgres")]
        Store::Postgres => "ratio >= 0.6, commits per unit <= 0.1, wal bytes per unit <= 1800",
    }
}
