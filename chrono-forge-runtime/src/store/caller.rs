//! Whoever opens a database. What waits for a server or for its turn waits for them: once they
//! have given up, nobody else would end it.

use std::sync::{Arc, Weak};

/// A caller who waits for as long as this is kept.
#[derive(Debug, Default)]
pub struct Waiting(Arc<()>);

/// The same, seen from what is waited for.
#[derive(Clone, Debug, Default)]
pub struct Caller(Option<Weak<()>>);

impl Waiting {
    /// Whom it is done for.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller(Some(Arc::downgrade(&self.0)))
    }
}

impl Caller {
    /// Whether nobody waits any more. By default somebody always does.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let Self(caller) = self;
        caller.as_ref().is_some_and(|it| it.strong_count() == 0)
    }
}
