//! The values of a case, and what bodies saw of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::kinds::{Kind, Shaped, read_as};
use crate::model::told;
use crate::said::Said;

/// Shared by all engines of a case.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<Inner>);

struct Inner {
    values: Vec<Shaped>,
    failures: Vec<Said>,
    /// By the run's key.
    seen: Mutex<BTreeMap<String, Vec<String>>>,
    is_held: AtomicBool,
}

impl Shelf {
    pub(crate) fn new(values: Vec<Shaped>) -> Self {
        Self::of(values, Vec::new())
    }

    pub(crate) fn of_failures(failures: Vec<Said>) -> Self {
        Self::of(Vec::new(), failures)
    }

    fn of(values: Vec<Shaped>, failures: Vec<Said>) -> Self {
        Self(Arc::new(Inner {
            values,
            failures,
            seen: Mutex::default(),
            is_held: AtomicBool::new(true),
        }))
    }

    pub(crate) fn failures(&self) -> &[Said] {
        &self.0.failures
    }

    pub(crate) fn values(&self) -> &[Shaped] {
        &self.0.values
    }

    /// The value; what is read next is read as of its kind.
    pub(crate) fn value(&self, n: usize) -> Shaped {
        read_as(self.kind(n));
        self.0.values[n].clone()
    }

    pub(crate) fn kind(&self, n: usize) -> Kind {
        self.0.values[n].kind()
    }

    /// A body was given this.
    pub(crate) fn saw(&self, run: &str, value: &Shaped) {
        self.noted(run, told(value));
    }

    /// As [`Shelf::saw`], of something else.
    pub(crate) fn noted(&self, run: &str, what: String) {
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(run.to_owned()).or_default().push(what);
    }

    /// What the passes of a run were given, in their order.
    pub(crate) fn seen(&self, run: &str) -> Vec<String> {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(run).cloned().unwrap_or_default()
    }

    /// Whether sources wait behind their first token.
    pub(crate) fn is_held(&self) -> bool {
        self.0.is_held.load(Ordering::SeqCst)
    }

    pub(crate) fn release(&self) {
        self.0.is_held.store(false, Ordering::SeqCst);
    }
}
