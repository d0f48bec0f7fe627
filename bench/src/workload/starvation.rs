//! Small runs beside a large fan-out. The floor is the same fan-out alone.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{Common, Starvation};
use crate::engine::fanout;
use crate::engine::starvation::{FIRST_LINE, RESULT, Shape, TEN_CHILDREN};
use crate::job::Job;
use crate::quantiles::Quantiles;
use crate::report::Report;
use crate::rounds::Rounds;
use crate::sample::{Sample, Timed};

const GOAL: &str = "p99 of the delay: first line of a new run <= 100 ms, ten children <= 250 ms";

pub fn run(common: &Common, asked: &Starvation) -> Result<Report> {
    let shape = Shape {
        children: asked.children,
        idle_ms: asked.idle_ms,
    };
    let alone = Job::FanoutEngine(fanout::Shape::of(shape.children));
    let rounds = Rounds::paired(
        &common.ground()?,
        common.rounds,
        &alone,
        &Job::Starvation(shape),
    )?;
    let mut report = Report::of("starvation", GOAL, &rounds);
    for name in [FIRST_LINE, RESULT, TEN_CHILDREN] {
        report = report.with(name, of_rounds(&rounds.engine, name));
    }
    Ok(report)
}

/// How long it took idle and busy, and the delay: the difference within each round.
fn of_rounds(samples: &[Sample], name: &str) -> Value {
    let timed: Vec<Timed> = samples
        .iter()
        .filter_map(|s| s.timed.get(name))
        .copied()
        .collect();
    let all = |of: fn(&Timed) -> Quantiles| {
        Quantiles::of_rounds(&timed.iter().map(of).collect::<Vec<_>>())
    };
    json!({
        "idle": all(|timed| timed.idle),
        "busy": all(|timed| timed.busy),
        "delay": all(|timed| timed.busy.beyond(&timed.idle)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_delay_is_taken_within_a_round_and_its_median_over_the_rounds() {
        let of = |ms| Quantiles::of([Duration::from_millis(ms)]).unwrap();
        let round = |idle, busy| {
            let timed = Timed {
                idle: of(idle),
                busy: of(busy),
            };
            Sample {
                timed: [(RESULT.to_owned(), timed)].into(),
                ..Sample::default()
            }
        };
        let told = of_rounds(&[round(1, 10), round(30, 31), round(2, 7)], RESULT);
        assert_eq!(told["idle"]["p50_ms"], 2.0);
        assert_eq!(told["busy"]["p50_ms"], 10.0);
        assert_eq!(told["delay"]["p50_ms"], 5.0);
        assert_eq!(told["delay"]["max_ms"], 9.0);
        assert!(of_rounds(&[], RESULT)["delay"].is_null());
    }
}
