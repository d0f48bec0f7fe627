//! The ear: what others commit is heard once, soon, and not too often.

use std::time::{Duration, Instant};

use super::open;
use crate::record::RunId;
use crate::store::conformance::fixture::*;
use crate::store::{Call, Listener};

/// Longer than a commit takes to be heard of.
const PATIENCE: Duration = Duration::from_secs(60);

/// Long enough for several looks.
const A_WHILE: Duration = Duration::from_millis(300);

fn ear(forge: &Forge) -> Box<dyn Listener> {
    forge.store.listener().unwrap().unwrap()
}

#[test]
fn a_commit_of_another_process_is_heard_once_and_none_of_this_one() {
    let (mut forge, _scratch) = open();
    let mut ear = ear(&forge);
    let nobody = Vec::new;
    forge.start_at("mine", 1, at(1));
    assert_eq!(ear.wait(A_WHILE, &nobody).unwrap(), []);
    let mut other = forge.other_writer();
    other
        .start(&[start("theirs", "flow", 1, None)], at(1))
        .unwrap();
    assert_eq!(ear.wait(PATIENCE, &nobody).unwrap(), [Call::Due]);
    assert_eq!(ear.wait(A_WHILE, &nobody).unwrap(), []);
    // This process's own transactions see it first.
    other
        .start(&[start("more", "flow", 1, None)], at(1))
        .unwrap();
    forge.start_at("again", 1, at(1));
    assert_eq!(ear.wait(PATIENCE, &nobody).unwrap(), [Call::Due]);
    assert_eq!(ear.wait(A_WHILE, &nobody).unwrap(), []);
}

#[test]
fn whoever_is_awaited_and_has_settled_elsewhere_is_told() {
    let (mut forge, _scratch) = open();
    let (ended, running) = (forge.running("a"), forge.running("b"));
    let store = forge.database.open();
    let mut here = store.listener().unwrap().unwrap();
    let awaited = || vec![ended.id, RunId(4_711), running.id];
    forge.end(&ended, done("1"));
    let heard = here.wait(PATIENCE, &awaited).unwrap();
    assert_eq!(heard, [Call::Due, Call::Settled(ended.id)]);
}

#[test]
fn who_writes_all_the_time_is_heard_ten_times_a_second() {
    let (forge, _scratch) = open();
    let mut ear = ear(&forge);
    let mut other = forge.other_writer();
    let begun = Instant::now();
    let mut heard = 0;
    for n in 0_u64.. {
        let key = format!("k{n}");
        other.start(&[start(&key, "flow", 1, None)], at(1)).unwrap();
        let news = ear.wait(Duration::from_millis(5), &Vec::new).unwrap();
        heard += u128::from(!news.is_empty());
        if begun.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    let most = begun.elapsed().as_millis() / 100 + 1;
    assert!((1..=most).contains(&heard), "{heard}");
}

#[test]
fn a_writer_that_is_at_work_is_not_waited_for() {
    let scratch = crate::store::conformance::backend::sqlite::Scratch::new();
    let store = crate::store::sqlite::SqliteStore::open(scratch.options()).unwrap();
    let mut ear = crate::store::Store::listener(&store).unwrap().unwrap();
    let held = store.writing.lock();
    assert_eq!(ear.wait(A_WHILE, &Vec::new).unwrap(), []);
    drop(held);
}
