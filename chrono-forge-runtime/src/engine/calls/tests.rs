use super::*;

#[test]
fn calls_are_collected_and_the_most_urgent_says_when() {
    let calls = Calls::new(true);
    assert_eq!(calls.pause(), None);
    calls.settled(RunId(3), false);
    assert_eq!(calls.pause(), Some(LAZY));
    calls.due(true);
    assert_eq!(calls.pause(), Some(PROMPT));
    assert_eq!(calls.take(), [Call::Due, Call::Settled(RunId(3))]);
    assert_eq!(calls.pause(), None);
}

#[test]
fn alone_nobody_is_told_of_work_but_who_waits_for_a_result_may_be_no_worker() {
    let calls = Calls::new(true);
    calls.note_company(false);
    calls.due(true);
    assert_eq!(calls.pause(), None);
    calls.settled(RunId(3), true);
    assert_eq!(calls.take(), [Call::Settled(RunId(3))]);
}

#[test]
fn a_storm_of_results_is_bounded() {
    let calls = Calls::new(true);
    for run in 0..10 * SETTLED_MAX {
        calls.settled(RunId(i64::try_from(run).unwrap()), true);
    }
    assert_eq!(calls.take().len(), SETTLED_MAX);
}

#[test]
fn a_database_without_calls_collects_nothing() {
    let calls = Calls::new(false);
    calls.due(true);
    calls.settled(RunId(3), true);
    assert!(calls.take().is_empty());
}
