//! What a database declares that others lack, and what all of them do without it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::backend::Backend;
use super::fixture::*;
use crate::record::*;
use crate::store::Call;

/// Longer than a call ever takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn nobody_waits() -> Vec<RunId> {
    Vec::new()
}

fn carries_calls(forge: &Forge) -> bool {
    forge.store.capabilities().notifies
}

pub(crate) fn what_is_declared_is_there(on: &dyn Backend) {
    let forge = Forge::on(on);
    let declared = forge.store.capabilities();
    assert!(declared.writers >= 1);
    let locks = forge.store.worker_locks();
    assert_eq!(locks.is_some(), declared.worker_locks);
    let now = forge.store.database_now().unwrap();
    assert_eq!(now.is_some(), declared.own_clock);
    assert!(forge.store.database_now().unwrap() >= now);
    let listener = forge.store.listener().unwrap();
    assert_eq!(listener.is_some(), declared.hears);
    assert!(declared.hears || !declared.notifies);
}

pub(crate) fn a_call_reaches_those_who_listen_and_is_never_refused(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let listener = forge.database.open().listener().unwrap();
    let calls = [Call::Due, Call::Settled(RunId(7))];
    forge.writer.notify(&calls).unwrap();
    forge.writer.notify(&[]).unwrap();
    let Some(mut listener) = listener.filter(|_| carries_calls(&forge)) else {
        return;
    };
    let mut heard = Vec::new();
    while heard.len() < calls.len() {
        let more = listener.wait(PATIENCE, &nobody_waits).unwrap();
        assert!(!more.is_empty(), "only {heard:?}");
        heard.extend(more);
    }
    assert_eq!(heard, calls);
    let none = listener
        .wait(Duration::from_millis(1), &nobody_waits)
        .unwrap();
    assert!(none.is_empty(), "{none:?}");
}

pub(crate) fn calls_stay_in_their_database(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let mut neighbour = Forge::on(on);
    let listener = forge.store.listener().unwrap();
    let Some(mut listener) = listener.filter(|_| carries_calls(&forge)) else {
        return;
    };
    neighbour.writer.notify(&[Call::Settled(RunId(1))]).unwrap();
    forge.writer.notify(&[Call::Settled(RunId(2))]).unwrap();
    let heard = listener.wait(PATIENCE, &nobody_waits).unwrap();
    assert_eq!(heard, [Call::Settled(RunId(2))]);
}

pub(crate) fn more_calls_than_one_message_holds(on: &dyn Backend) {
    let mut forge = Forge::on(on);
    let listener = forge.store.listener().unwrap();
    let calls: Vec<Call> = (0..5_000).map(|run| Call::Settled(RunId(run))).collect();
    forge.writer.notify(&calls).unwrap();
    let Some(mut listener) = listener.filter(|_| carries_calls(&forge)) else {
        return;
    };
    let mut heard = Vec::new();
    while heard.len() < calls.len() {
        let more = listener.wait(PATIENCE, &nobody_waits).unwrap();
        assert!(!more.is_empty(), "only {} calls", heard.len());
        heard.extend(more);
    }
    let runs = |calls: &[Call]| {
        let run = |call: &Call| match call {
            Call::Settled(run) => *run,
            Call::Due => RunId(-1),
        };
        calls.iter().map(run).collect::<BTreeSet<_>>()
    };
    assert!(runs(&heard) == runs(&calls), "of {} calls", heard.len());
}

pub(crate) fn a_held_lock_is_not_free_until_its_holder_is_gone(on: &dyn Backend) {
    let forge = Forge::on(on);
    let Some(locks) = forge.store.worker_locks() else {
        return;
    };
    assert!(!locks.is_free(forge.worker));
    let guard = locks.hold(forge.worker).unwrap();
    let other = forge.database.open().worker_locks().unwrap();
    assert!(!other.is_free(forge.worker));
    drop(guard);
    assert!(other.is_free(forge.worker));
    other.remove(forge.worker);
    assert!(!other.is_free(forge.worker));
}
