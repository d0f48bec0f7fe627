//! A parent of many children, from its start to its result.

use anyhow::Result;

use crate::cli::{Common, Fanout};
use crate::floor::fanout::Shape;
use crate::job::Job;
use crate::report::Report;
use crate::rounds::Rounds;

/// Children of the run whose memory the large one's is compared with.
const FEW: u64 = 1_000;

pub fn run(common: &Common, asked: &Fanout) -> Result<Report> {
    let dir = common.dir()?;
    let children = asked.children;
    let floor = Job::FanoutFloor(Shape {
        children,
        batch: asked.batch,
        claimed: true,
    });
    let slots = asked.slots;
    let engine = Job::FanoutEngine { children, slots };
    let few = Job::FanoutEngine {
        children: FEW,
        slots,
    }
    .run_in(&dir)?;
    let rounds = Rounds::paired(&dir, common.rounds, &floor, &engine)?;
    let report = Report::of("fanout", "ratio >= 0.5, commits per unit <= 0.1", &rounds);
    Ok(report.with("rss_peak_mb_1000", few.rss_peak_mb))
}
