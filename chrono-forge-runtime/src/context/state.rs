//! `State<T>`: what the application injects.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A value given to the builder with `.state(..)`, handed to workflows that ask for it. Not stored,
/// not an argument; shared by every run of the process.
pub struct State<T: ?Sized>(pub(crate) Arc<T>);

impl<T: ?Sized> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
