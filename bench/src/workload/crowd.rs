//! Runs beside a crowd that sleeps or that nobody can execute. The floor is the engine with a crowd of
//! a hundred.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::cli::{Common, Crowd};
use crate::engine::crowd::Shape;
use crate::floor::crowd::{BATCH, Cost, Kind};
use crate::job::Job;
use crate::quantiles::Quantiles;
use crate::report::Report;
use crate::rounds::Rounds;
use crate::sample::{self, Costs, Sample};
use crate::stats::median;

/// The crowd that the large one is compared with: it fills the same ranges of the index.
const FEW: u64 = 100;

const GOAL: &str = "rows touched per claim <= 4 x batch + 50, whatever the crowd";

pub fn run(common: &Common, kind: Kind, asked: &Crowd) -> Result<Report> {
    let (runs, default) = match kind {
        Kind::Sleepers => ("sleepers", 1_000_000),
        Kind::Unclaimable => ("unclaimable", 500_000),
    };
    let crowd = asked.crowd.unwrap_or(default);
    let job = |crowd| {
        Job::Crowd(Shape {
            kind,
            crowd,
            runs: asked.runs,
        })
    };
    let rounds = Rounds::paired(&common.ground()?, common.rounds, &job(FEW), &job(crowd))?;
    let report = Report::of(runs, GOAL, &rounds);
    let (few, many) = (told(&rounds.floor), told(&rounds.engine));
    ensure!(!few.is_empty() && !many.is_empty(), "no claim was measured");
    let report = report
        .with("crowd", crowd)
        .with("result", result(&many))
        .with("result_few", result(&few));
    let (few, many) = (costs_of(&few), costs_of(&many));
    // Elsewhere than on SQLite the tests of the store tell how many rows a claim touches.
    if many.is_empty() {
        return Ok(report);
    }
    let rows = same_steps(&few, &many).then(|| most_rows(&many)).flatten();
    Ok(report
        .with("claim_batch", BATCH)
        .with("rows_touched_per_claim", rows)
        .with("rows_touched_bound", 4 * BATCH + 50)
        .with(
            "claim_of_1_workflow_1_queue",
            costs(&few, &many, |crowd| crowd.narrow),
        )
        .with(
            "claim_of_4_workflows_2_queues",
            costs(&few, &many, |crowd| crowd.cost),
        )
        .with(
            "claim_of_50_workflows_4_queues",
            costs(&few, &many, |crowd| crowd.wide),
        ))
}

fn costs_of(crowds: &[sample::Crowd]) -> Vec<Costs> {
    crowds.iter().filter_map(|crowd| crowd.costs).collect()
}

fn told(samples: &[Sample]) -> Vec<sample::Crowd> {
    samples.iter().filter_map(|s| s.crowd.clone()).collect()
}

fn result(crowds: &[sample::Crowd]) -> Value {
    let results: Vec<Quantiles> = crowds.iter().map(|crowd| crowd.result).collect();
    json!(Quantiles::of_rounds(&results))
}

/// Whether claims beside the large crowd took exactly the steps that they take beside the small one:
/// only then does the count of rows say what it should.
fn same_steps(few: &[Costs], many: &[Costs]) -> bool {
    let steps = |crowd: &Costs| {
        [crowd.narrow, crowd.cost, crowd.wide].map(|cost| (cost.claim_steps, cost.next_wake_steps))
    };
    few.iter()
        .zip(many)
        .all(|(few, many)| steps(few) == steps(many))
}

/// By the worker of the measured runs.
fn most_rows(crowds: &[Costs]) -> Option<u64> {
    crowds.iter().map(|crowd| crowd.cost.rows_touched()).max()
}

/// Steps and time of a claim and of a look for the next wake-up, beside few and beside many.
fn costs(few: &[Costs], many: &[Costs], of: fn(&Costs) -> Cost) -> Value {
    let side = |crowds: &[Costs]| {
        let all = |value: fn(&Cost) -> f64| median(crowds.iter().map(|crowd| value(&of(crowd))));
        json!({
            "claim_steps": all(|cost| cost.claim_steps as f64),
            "claim_us": all(|cost| cost.claim_us),
            "next_wake_steps": all(|cost| cost.next_wake_steps as f64),
            "next_wake_us": all(|cost| cost.next_wake_us),
        })
    };
    json!({ "few": side(few), "many": side(many) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(claim_steps: i64) -> Costs {
        let cost = Cost {
            ranges: 10,
            claim_steps,
            ..Cost::default()
        };
        Costs {
            narrow: cost,
            cost,
            wide: cost,
        }
    }

    #[test]
    fn rows_are_told_only_while_the_steps_do_not_grow() {
        assert!(same_steps(&[crowd(7)], &[crowd(7)]));
        assert!(!same_steps(&[crowd(7)], &[crowd(8)]));
        assert_eq!(most_rows(&[crowd(7)]), Some(10 + 4 * BATCH));
    }

    #[test]
    fn costs_are_medians_of_each_side() {
        let many = [crowd(9), crowd(1), crowd(5)];
        let told = costs(&[crowd(7)], &many, |crowd| crowd.cost);
        assert_eq!(told["few"]["claim_steps"], 7.0);
        assert_eq!(told["many"]["claim_steps"], 5.0);
    }
}
