//! Which records are behind the last success.

use super::*;
use crate::store::conformance::backend::Backend;

/// A run with its records and its end, and the tail of it.
type Tail = (&'static str, Vec<Record>, RunEnd, &'static [&'static str]);

fn tick() -> Record {
    outcome("repeat$r$7", None, RecordState::Failed)
}

fn tails() -> [Tail; 7] {
    let unseen = || outcome("step$unseen", None, RecordState::Failed);
    [
        ("none", Vec::new(), failed(1), &[]),
        (
            "caught",
            vec![gave_up("step$a", 1), succeeded("step$b", 2)],
            failed(1),
            &[],
        ),
        (
            "two",
            vec![
                gave_up("step$a", 1),
                succeeded("step$b", 2),
                gave_up("wait_until$c", 3),
                gave_up("branch$d", 4),
                tick(),
                unseen(),
                record("wait$e"),
            ],
            stalled("branch$d"),
            &["wait_until$c", "branch$d"],
        ),
        (
            "all",
            vec![gave_up("step$b", 1), gave_up("step$a", 2)],
            stalled("step$a"),
            &["step$b", "step$a"],
        ),
        (
            // `try_join!`: the body received the failure and dropped the other arms, done as they were.
            "dropped",
            vec![
                succeeded("step$a", 1),
                gave_up("step$b", 2),
                succeeded("step$c", 3),
                gave_up("step$d", 4),
            ],
            stalled("step$b"),
            &["step$b", "step$d"],
        ),
        (
            // Nothing says which outcome the body received last.
            "failed",
            vec![
                gave_up("step$b", 2),
                succeeded("step$c", 3),
                gave_up("step$d", 4),
            ],
            failed(1),
            &["step$d"],
        ),
        (
            "renamed",
            vec![succeeded("step$a", 1), gave_up("step$b", 2)],
            stalled("step$gone"),
            &["step$b"],
        ),
    ]
}

fn tails_with_repeats() -> [Tail; 3] {
    [
        (
            // A repeat's own row has a place like any other; its repetitions have none.
            "repeat gave up",
            vec![
                gave_up("repeat$a", 1),
                succeeded("step$b", 2),
                gave_up("repeat$r", 3),
                gave_up("wait$z", 4),
                tick(),
            ],
            failed(1),
            &["repeat$r", "wait$z"],
        ),
        (
            "repeat succeeded",
            vec![
                gave_up("step$a", 1),
                succeeded("repeat$r", 2),
                gave_up("step$b", 3),
                tick(),
            ],
            stalled("step$b"),
            &["step$b"],
        ),
        (
            "repeat unseen",
            vec![
                gave_up("step$a", 1),
                succeeded("repeat$r", 2),
                gave_up("repeat$q", 3),
                tick(),
            ],
            stalled("step$a"),
            &["step$a", "repeat$q"],
        ),
    ]
}

pub(crate) fn the_tail_is_every_failure_behind_the_last_success(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    for (key, records, end, expected) in tails().into_iter().chain(tails_with_repeats()) {
        let run = forge.ended(key, records, end);
        assert_eq!(forge.rearmed(key, None), expected, "{key}");
        let history = forge.store.history(run, 100).unwrap();
        for row in history
            .iter()
            .filter(|row| row.state == RecordState::Pending)
        {
            let armed = expected.contains(&&*row.step_name);
            assert!(armed || row.step_name == "wait$e", "{key}: {row:?}");
        }
    }
}
