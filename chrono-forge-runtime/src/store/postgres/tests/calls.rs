//! The ear: what it hears, and what it does when its connection is gone.

use std::time::Duration;

use super::side::Side;
use crate::record::RunId;
use crate::store::conformance::backend::postgres::Schema;
use crate::store::conformance::fixture::Forge;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::{Call, Store};

/// Longer than a call ever takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_ear_whose_connection_was_ended_says_that_it_may_have_missed_something() {
    skip_without_server!();
    let (mut forge, mut side) = Side::new();
    let mut ear = forge.store.listener().unwrap().unwrap();
    let call = [Call::Settled(RunId(7))];
    for _ in 0..2 {
        assert!(side.end_ear());
        assert_eq!(ear.wait(PATIENCE, &Vec::new).unwrap(), [Call::Due]);
        forge.writer.notify(&call).unwrap();
        assert_eq!(ear.wait(PATIENCE, &Vec::new).unwrap(), call);
    }
}

#[test]
fn what_many_have_told_is_heard_once() {
    skip_without_server!();
    let (mut forge, _side) = Side::new();
    let mut ear = forge.store.listener().unwrap().unwrap();
    let mut other = forge.other_writer();
    for run in [3, 1, 3] {
        forge.writer.notify(&[Call::Due]).unwrap();
        other
            .notify(&[Call::Settled(RunId(run)), Call::Due])
            .unwrap();
    }
    let mut heard = Vec::new();
    while !heard.contains(&Call::Settled(RunId(1))) {
        heard.extend(ear.wait(PATIENCE, &Vec::new).unwrap());
    }
    let of_first = heard
        .iter()
        .filter(|call| **call == Call::Settled(RunId(3)));
    assert!(of_first.count() <= 2, "{heard:?}");
    assert!(heard.len() < 9, "{heard:?}");
}

#[test]
fn nobody_listens_through_a_pooler_in_transaction_mode() {
    skip_without_server!();
    let schema = Schema::new();
    let options = PostgresOptions {
        pooler: true,
        ..schema.options()
    };
    let store = PostgresStore::open(options).unwrap();
    assert!(!store.capabilities().notifies);
    assert!(store.listener().unwrap().is_none());
    let mut forge = Forge::of(Box::new(schema));
    let mut ear = forge.store.listener().unwrap().unwrap();
    store.writer().unwrap().notify(&[Call::Due]).unwrap();
    forge.writer.notify(&[Call::Settled(RunId(1))]).unwrap();
    assert_eq!(
        ear.wait(PATIENCE, &Vec::new).unwrap(),
        [Call::Settled(RunId(1))]
    );
}
