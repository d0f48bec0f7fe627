//! Deadlocks are no errors: a store runs their transaction again, and nobody would hear of them here.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::store::conformance::told;

/// Does something and fails if one of its transactions was ended because two waited for each other, or because
/// it waited for ever.
pub(crate) fn without_deadlocks<T>(work: impl FnOnce() -> T) -> T {
    let ear = Ear::default();
    let deadlocks = Arc::clone(&ear.0);
    let answer = told::listening(ear, work);
    let heard = deadlocks.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(heard.is_empty(), "{heard:?}");
    drop(heard);
    answer
}

/// Keeps what a store tells of transactions that are run again.
#[derive(Default)]
struct Ear(Arc<Mutex<Vec<String>>>);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() == crate::telemetry::TARGET
    }

    fn event(&self, event: &Event<'_>) {
        let mut reason = Reason::default();
        event.record(&mut reason);
        let is_deadlock = ["deadlock", "lock timeout"];
        if is_deadlock.iter().any(|text| reason.0.contains(text)) {
            let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            heard.push(reason.0);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The `error` of an event.
#[derive(Default)]
struct Reason(String);

impl Visit for Reason {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "error" {
            self.0 = format!("{value:?}");
        }
    }
}
