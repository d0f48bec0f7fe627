//! What is asked of several runs in one call.

use super::*;
use crate::store::conformance::backend::Backend;
use crate::store::{Found, RunAnswer, RunAsks, RunCall, RunName};

/// Keys of runs in every state; some are asked twice, and one is nobody's.
const KEYS: [&str; 10] = [
    "stalled",
    "running",
    "failed",
    "nobody",
    "running",
    "idle",
    "completed",
    "failed",
    "idle",
    "stalled",
];

fn ask_one_by_one(forge: &mut Forge, calls: &[RunCall]) -> Vec<RunAnswer> {
    let ask = |call: &RunCall| forge.writer.call_runs(std::slice::from_ref(call), at(20));
    let answers = calls.iter().map(ask);
    answers.flat_map(Result::unwrap).collect()
}

fn ask_together(forge: &mut Forge, calls: &[RunCall]) -> Vec<RunAnswer> {
    forge.writer.call_runs(calls, at(20)).unwrap()
}

/// The answers, then the runs, as far as two databases can agree about them: half of a lock is random.
fn story(
    on: &dyn Backend,
    asks: &RunAsks,
    ask: fn(&mut Forge, &[RunCall]) -> Vec<RunAnswer>,
) -> Vec<String> {
    let mut forge = Forge::on(on);
    // Their order is not that of the calls.
    let idle = forge.start_at("idle", 1, at(1));
    let ended = [
        forge.ended("completed", Vec::new(), done("1")),
        forge.ended("failed", vec![gave_up("step$a", 1)], failed(1)),
    ];
    let running = forge.running("running").id;
    let stalled = forge.ended("stalled", vec![gave_up("step$b", 1)], stalled("step$b"));
    let mut calls: Vec<RunCall> = KEYS
        .iter()
        .map(|key| RunName::key("flow", key))
        .chain([
            RunName::Id(stalled),
            RunName::Id(RunId(77)),
            RunName::Id(idle),
        ])
        .map(|run| RunCall {
            run,
            asks: asks.clone(),
        })
        .collect();
    calls.push(RunCall {
        run: RunName::key("other", "idle"),
        asks: asks.clone(),
    });
    let found =
        |found: Found| format!("{:?} {:?} {}", found.run, found.state, found.epoch.claims());
    let answers = ask(&mut forge, &calls)
        .into_iter()
        .map(|answer| match answer {
            RunAnswer::Unlocked(run) => format!("unlocked {}", found(run)),
            RunAnswer::CrashesReset(run) => format!("reset {}", found(run)),
            other => format!("{other:?}"),
        });
    let mut story: Vec<String> = answers.collect();
    assert_eq!(story.len(), calls.len(), "{story:#?}");
    for run in [idle, ended[0], ended[1], running, stalled] {
        let row = forge.row(run);
        let due = arrived(row.wake_at);
        story.push(format!(
            "{run:?} {:?} {due:?} {} {} {} {}",
            row.state,
            row.wake_requested,
            row.locked_by.is_some(),
            row.epoch.claims(),
            row.crashes
        ));
    }
    story
}

pub(crate) fn several_runs_are_answered_in_order_as_each_alone(on: &dyn Backend) {
    let retry = |records| {
        RunAsks::Retry(Rearm {
            records,
            args: None,
        })
    };
    for asks in [
        RunAsks::Wake,
        retry(None),
        retry(Some(names(&["step$a"]))),
        RunAsks::Unlock,
        RunAsks::ResetCrashes,
    ] {
        let alone = story(on, &asks, ask_one_by_one);
        assert_eq!(story(on, &asks, ask_together), alone, "{asks:?}");
        assert!(alone.contains(&format!("{:?}", RunAnswer::Missing)));
    }
}
