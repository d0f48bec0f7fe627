//! How far a keyset has come, and whether its pages make sense. No I/O.
//!
//! A cursor is only as good as its key: one that does not come back from JSON as it was, or that the
//! database does not put behind itself, would lose rows or read some for ever.

use std::collections::HashSet;
use std::fmt::Display;

use super::RowKey;
use crate::context::codec;
use crate::error::KeysetError;

/// Where reading goes on.
#[derive(Debug)]
pub(super) struct Position<K> {
    column: String,
    after: Option<K>,
    /// A key that was the cursor some pages ago. Brent's way to find a cycle: it moves ahead after 1, 2,
    /// 4, .. pages, so whatever the length of the cycle, the cursor meets it.
    landmark: Option<K>,
    steps: u64,
    stride: u64,
    /// The keys that the last page passed, in order.
    passed: Vec<K>,
}

impl<K: RowKey> Position<K> {
    /// Behind this key, or before the first row.
    pub(super) fn new(column: impl Into<String>, after: Option<K>) -> Self {
        Self {
            column: column.into(),
            landmark: after.clone(),
            after,
            steps: 0,
            stride: 1,
            passed: Vec::new(),
        }
    }

    /// The key that the next page follows.
    pub(super) fn after(&self) -> Option<K> {
        self.after.clone()
    }

    /// The keys that the last page passed, in order.
    pub(super) fn take_passed(&mut self) -> Vec<K> {
        std::mem::take(&mut self.passed)
    }

    /// Moves behind the first `of` rows of a page; answers them, each with the text of its key. Whatever
    /// follows them in the page is not passed, and looked at only beside the last of them.
    pub(super) fn advance<R>(
        &mut self,
        page: Vec<(K, R)>,
        of: usize,
    ) -> Result<Vec<(String, R)>, KeysetError> {
        let mut rows: Vec<(String, R)> = Vec::with_capacity(page.len().min(of));
        self.passed.clear();
        for (key, row) in page {
            #[allow(
                clippy::eq_op,
                reason = "a key that is not itself, as NaN, has no place in an order"
            )]
            if key != key {
                return Err(self.unstorable(&key, "it does not equal itself"));
            }
            if self.after.as_ref() == Some(&key) {
                return Err(self.came_back(&key));
            }
            if rows.len() == of {
                // What comes after the cursor may not equal it, or it would be passed over.
                if self.passed.last() == Some(&key) {
                    return Err(self.doubled(&key));
                }
                break;
            }
            rows.push((key.to_string(), row));
            self.passed.push(key);
        }
        self.check_texts(&rows)?;
        if let Some(last) = self.passed.last() {
            self.step_to(last.clone())?;
        }
        Ok(rows)
    }

    fn check_texts<R>(&self, rows: &[(String, R)]) -> Result<(), KeysetError> {
        let mut texts = HashSet::with_capacity(rows.len());
        match rows.iter().find(|(text, _)| !texts.insert(text)) {
            None => Ok(()),
            Some((text, _)) => Err(self.doubled(text)),
        }
    }

    fn step_to(&mut self, last: K) -> Result<(), KeysetError> {
        self.check_storable(&last)?;
        if self.landmark.as_ref() == Some(&last) {
            return Err(self.came_back(&last));
        }
        self.steps += 1;
        if self.steps == self.stride {
            self.landmark = Some(last.clone());
            self.stride = self.stride.saturating_mul(2);
            self.steps = 0;
        }
        self.after = Some(last);
        Ok(())
    }

    fn check_storable(&self, key: &K) -> Result<(), KeysetError> {
        let json = codec::encode(key).map_err(|problem| self.unstorable(key, &problem))?;
        if &*json == "null" {
            // It would stand for the place before the first row.
            return Err(self.unstorable(key, "its JSON is null"));
        }
        match codec::decode::<K>(&json) {
            Ok(stored) if stored == *key => Ok(()),
            Ok(stored) => {
                let problem = format!("it comes back as {:?}", stored.to_string());
                Err(self.unstorable(key, &problem))
            }
            Err(problem) => Err(self.unstorable(key, &problem)),
        }
    }

    fn unstorable(&self, key: &impl Display, problem: &str) -> KeysetError {
        KeysetError::Unstorable {
            column: self.column.clone(),
            key: key.to_string(),
            problem: problem.to_owned(),
        }
    }

    fn doubled(&self, key: &impl Display) -> KeysetError {
        KeysetError::Doubled {
            column: self.column.clone(),
            key: key.to_string(),
        }
    }

    fn came_back(&self, key: &impl Display) -> KeysetError {
        KeysetError::NotIncreasing {
            column: self.column.clone(),
            key: key.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[i64]) -> Vec<(i64, ())> {
        keys.iter().map(|key| (*key, ())).collect()
    }

    #[test]
    fn the_cursor_is_the_last_key_that_is_passed() {
        let mut position = Position::new("id", None);
        let rows = position.advance(page(&[3, 5, 8]), 2).unwrap();
        assert_eq!(rows, [("3".to_owned(), ()), ("5".to_owned(), ())]);
        assert_eq!(position.after(), Some(5));
        assert!(position.advance(page(&[]), 2).unwrap().is_empty());
        assert_eq!(position.after(), Some(5));
    }

    #[test]
    fn no_cycle_of_pages_is_read_for_ever() {
        for length in 1..40_i64 {
            for lead in [0, 1, 7, 30] {
                let mut position = Position::new("id", None);
                let told = (0..1_000).find_map(|n| {
                    let key = if n < lead {
                        -n - 1
                    } else {
                        (n - lead) % length
                    };
                    position.advance(page(&[key]), 1).err()
                });
                assert!(
                    matches!(told, Some(KeysetError::NotIncreasing { .. })),
                    "a cycle of {length} after {lead}: {told:?}"
                );
            }
        }
    }

    #[test]
    fn a_cycle_is_also_told_when_reading_goes_on_in_it() {
        let mut position = Position::new("id", Some(1));
        let mut rounds = [2, 3, 1].into_iter().cycle().take(12);
        assert!(rounds.any(|key| position.advance(page(&[key]), 1).is_err()));
    }

    #[test]
    fn a_long_table_in_order_is_no_cycle() {
        let mut position = Position::new("id", None);
        for key in 0..10_000 {
            position.advance(page(&[key]), 1).unwrap();
        }
    }

    #[test]
    fn a_twin_on_the_next_page_is_told() {
        let mut position = Position::new("id", None);
        let told = position.advance(page(&[1, 2, 2]), 2).unwrap_err();
        assert!(matches!(told, KeysetError::Doubled { .. }), "{told}");
    }

    #[test]
    fn a_key_that_does_not_survive_json_is_told() {
        let problem = |key: f64| {
            let mut position = Position::new("at", None);
            position.advance(vec![(key, ())], 1).unwrap_err()
        };
        for key in [f64::NAN, f64::INFINITY] {
            let told = problem(key);
            assert!(matches!(told, KeysetError::Unstorable { .. }), "{told}");
            assert!(told.to_string().contains(".key::<"), "{told}");
        }
        // In the middle of a page, too, where it is no cursor but has no place in an order either.
        let mut position = Position::new("at", None);
        let keys = vec![(1.5, ()), (f64::NAN, ()), (2.5, ())];
        assert!(position.advance(keys, 3).is_err());
    }
}
