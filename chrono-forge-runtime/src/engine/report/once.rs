//! What is told once, however often it happens.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Names that are kept; beyond that all are forgotten, and told anew.
const KEPT_MAX: usize = 1_000;

/// Workflows with something of theirs that was told of.
#[derive(Debug, Default)]
pub(super) struct Once(Mutex<HashSet<(String, String)>>);

impl Once {
    /// Whether it was not told yet; notes that it is told now.
    pub(super) fn is_first(&self, workflow: &str, what: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= KEPT_MAX {
            told.clear();
        }
        told.insert((workflow.to_owned(), what.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_the_memory_of_it_has_a_bound() {
        let once = Once::default();
        assert!(once.is_first("w", "a") && once.is_first("w", "b") && once.is_first("v", "a"));
        assert!(!once.is_first("w", "a"));
        for n in 0..KEPT_MAX {
            assert!(once.is_first("x", &n.to_string()));
        }
        assert!(once.is_first("w", "a"));
    }
}
