//! Which failures a policy covers.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What ended an attempt.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    /// The user's code returned this error.
    Error(&'a anyhow::Error),
    /// The user's code panicked.
    Panic,
    /// The attempt ran out of time.
    Timeout,
}

/// The names of what a policy covers; an attempt is covered when one of them accepts its cause.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    names: Vec<Named>,
}

/// One thing that a policy covers, under the name that its budget is made of.
#[derive(Clone)]
struct Named {
    name: &'static str,
    accepts: Accepts,
}

#[derive(Clone)]
enum Accepts {
    Type(fn(&anyhow::Error) -> bool),
    Predicate(Arc<dyn Fn(&anyhow::Error) -> bool + Send + Sync>),
    Panic,
    Timeout,
}

impl Filter {
    /// Covers errors of this type, too.
    pub(super) fn on<E: Error + Send + Sync + 'static>(&mut self) {
        self.add(std::any::type_name::<E>(), Accepts::Type(is_or_has::<E>));
    }

    /// Covers errors that the predicate accepts, too.
    pub(super) fn when(
        &mut self,
        name: &'static str,
        accepts: impl Fn(&anyhow::Error) -> bool + Send + Sync + 'static,
    ) {
        self.add(name, Accepts::Predicate(Arc::new(accepts)));
    }

    /// Covers panics, too.
    pub(super) fn on_panic(&mut self) {
        self.add("panic", Accepts::Panic);
    }

    /// Covers attempts that ran out of time, too.
    pub(super) fn on_timeout(&mut self) {
        self.add("timeout", Accepts::Timeout);
    }

    fn add(&mut self, name: &'static str, accepts: Accepts) {
        self.names.push(Named { name, accepts });
    }

    /// Whether one of the names accepts this.
    pub(super) fn covers(&self, cause: Cause<'_>) -> bool {
        self.names.iter().any(|named| named.accepts.accept(cause))
    }

    /// The first named type that an error has, or has among its causes.
    pub(super) fn class_of(&self, error: &anyhow::Error) -> Option<&'static str> {
        let has_type = |named: &&Named| matches!(named.accepts, Accepts::Type(is) if is(error));
        self.names.iter().find(has_type).map(|named| named.name)
    }

    /// The names, each once, sorted and joined: the order in which they were declared says nothing.
    pub(super) fn budget(&self) -> String {
        let names: BTreeSet<&str> = self.names.iter().map(|named| named.name).collect();
        names.into_iter().collect::<Vec<_>>().join(",")
    }
}

impl Accepts {
    fn accept(&self, cause: Cause<'_>) -> bool {
        match (self, cause) {
            (Self::Type(is), Cause::Error(error)) => is(error),
            (Self::Predicate(accepts), Cause::Error(error)) => accepts(error),
            (Self::Panic, Cause::Panic) | (Self::Timeout, Cause::Timeout) => true,
            _ => false,
        }
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Whether an error is an `E`, has one as a context, or was caused by one.
fn is_or_has<E: Error + Send + Sync + 'static>(error: &anyhow::Error) -> bool {
    error.is::<E>() || error.chain().any(|cause| cause.is::<E>())
}
