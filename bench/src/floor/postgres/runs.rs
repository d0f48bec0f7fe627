//! Runs of steps, as bare transactions on one writer.

use anyhow::{Result, ensure};

use super::session::{Session, Value, now};
use super::statements as sql;
use crate::floor::runs::{Step, sum_to};

fn at() -> Value {
    Value::Instant(now())
}

fn ids(first: i64, runs: u64) -> Vec<i64> {
    (first..).take(runs as usize).collect()
}

/// Inserts runs already claimed, as a direct start does: one round trip.
pub fn start(session: &mut Session, first: i64, runs: u64, steps: u64) -> Result<()> {
    let values = [
        Value::Text("steps".into()),
        Value::Text(format!(r#"{{"count":{steps}}}"#)),
        Value::Int(session.worker),
        Value::Ints(ids(first, runs)),
        Value::Texts(
            ids(first, runs)
                .iter()
                .map(|id| format!("r{}", id - 1))
                .collect(),
        ),
        at(),
        Value::Int(session.worker),
    ];
    session.execute(sql::START, &values).map(drop)
}

/// One step of each run: a fenced commit, one round trip where it is of one run.
pub fn step(session: &mut Session, step: &Step) -> Result<()> {
    if step.runs == 1 {
        return single(session, step);
    }
    let ids = ids(step.first, step.runs);
    let worker = session.worker;
    let results = vec![step.nth.to_string(); ids.len()];
    let outputs = vec![sum_to(step.nth).to_string(); ids.len()];
    session.transaction(|session| {
        if step.last {
            let values = [
                Value::Ints(ids.clone()),
                Value::Texts(outputs),
                at(),
                Value::Int(worker),
            ];
            let done = session.execute(sql::COMPLETE, &values)?;
            ensure!(done == ids.len(), "{done} fences hold");
        } else {
            let held =
                session.number(sql::HOLD, &[Value::Ints(ids.clone()), Value::Int(worker)])?;
            ensure!(held == ids.len() as i64, "{held} fences hold");
        }
        let values = [
            Value::Ints(ids),
            Value::Texts(results),
            Value::Text(format!("step$n{}", step.nth)),
            Value::Int(step.nth as i64 + 1),
            at(),
        ];
        session.execute(sql::RECORD, &values).map(drop)
    })
}

fn single(session: &mut Session, step: &Step) -> Result<()> {
    let fence = [Value::Int(step.first), Value::Int(session.worker)];
    let record = [
        Value::Text(format!("step$n{}", step.nth)),
        Value::Int(step.nth as i64 + 1),
        Value::Text(step.nth.to_string()),
    ];
    let written = if step.last {
        let output = [Value::Text(sum_to(step.nth).to_string()), at()];
        let values: Vec<Value> = output.into_iter().chain(fence).chain(record).collect();
        session.execute(sql::LAST_STEP, &values)?
    } else {
        let values: Vec<Value> = fence.into_iter().chain(record).chain([at()]).collect();
        session.execute(sql::STEP, &values)?
    };
    ensure!(written == 1, "the fence is lost");
    Ok(())
}
