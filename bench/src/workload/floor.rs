//! The fan-out's floor alone, in its variants.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{Children, Common};
use crate::floor::fanout::Shape;
use crate::job::Job;
use crate::report::Report;
use crate::rounds::Rounds;

pub fn run(common: &Common, asked: &Children) -> Result<Report> {
    let ground = common.ground()?;
    let children = asked.children;
    let mut variants = Vec::new();
    let mut best = None;
    for (batch, claimed) in [(1_000, true), (500, true), (1_000, false), (500, false)] {
        let shape = Shape {
            children,
            batch,
            writers: 2,
            claimed,
        };
        eprintln!("batches of {batch}, inserted {}", state(claimed));
        let rounds = Rounds::single(common.rounds, || Job::FanoutFloor(shape).run_in(&ground))?;
        let report = Report::of("floor", "none: what bare SQL does", &rounds);
        variants.push(variant(&shape, &report));
        best.get_or_insert(report);
    }
    let best = best.ok_or_else(|| anyhow::anyhow!("no variant"))?;
    Ok(best.with("variants", variants))
}

fn variant(shape: &Shape, report: &Report) -> Value {
    json!({
        "batch": shape.batch,
        "inserted": state(shape.claimed),
        "per_second": report.per_second,
        "cpu_us_per_unit": report.cpu_us_per_unit,
        "commits": report.commits,
    })
}

fn state(claimed: bool) -> &'static str {
    if claimed { "claimed" } else { "idle" }
}
