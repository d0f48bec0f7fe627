//! What may be a key, and how the record of a long one is named.
//!
//! The limits hold on every database, and are checked before anything happens under a key.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOf {
    /// A run that is started.
    Run,
    /// A step, a wait, a condition or a repeat.
    Operation,
    Branch,
    /// A `spawn!` or a `spawn_each!`.
    Spawn,
    /// An entry of a context.
    Entry,
    Queue,
}

/// The longest key, in bytes, of a run that is started.
pub const RUN_KEY_BYTES_MAX: usize = 512;

/// The longest key of a child: that of its parent, its branch, its spawn and its item. Enough for
/// branches nested a thousand deep, and what ends a workflow that spawns itself without end.
pub const CHILD_KEY_BYTES_MAX: usize = 8 << 10;

/// The longest key of an operation or a branch.
pub const OPERATION_KEY_BYTES_MAX: usize = 64 << 10;

/// The longest key of an entry of a context.
pub const ENTRY_KEY_BYTES_MAX: usize = 1 << 10;

/// The longest name of a queue.
pub const QUEUE_BYTES_MAX: usize = 512;

/// Longer names of records are digests: a unique index holds up to 2,704 bytes on PostgreSQL.
const NAME_BYTES_MAX: usize = 1_000;

impl KeyOf {
    /// Why this cannot be such a key, if it cannot.
    #[must_use]
    pub fn problem(self, key: &str) -> Option<&'static str> {
        if key.is_empty() {
            return Some(match self {
                Self::Run => "is empty; give each run a name of its own",
                _ => "is empty",
            });
        }
        if key.chars().all(char::is_whitespace) {
            return Some("is blank: nobody can tell it from another one");
        }
        if key.contains('\0') {
            return Some(
                "contains the null character, which not every database can store; use another character",
            );
        }
        self.separator(key).or_else(|| self.length(key))
    }

    /// Whether earlier builds took such a key all the same. What they recorded under it is found.
    #[must_use]
    pub fn was_taken(self, key: &str) -> bool {
        !key.is_empty() && self.separator(key).is_none()
    }

    fn separator(self, key: &str) -> Option<&'static str> {
        let (separator, problem) = match self {
            Self::Run => (
                '$',
                "contains `$`, which separates the parts of child keys; use another character",
            ),
            Self::Operation => (
                '$',
                "contains `$`, which separates the parts of a row's name",
            ),
            Self::Branch if key.contains('$') => {
                return Some("contains `$`, which separates the parts of a row's name");
            }
            Self::Branch => (',', "contains `,`, which separates branch names in a merge"),
            Self::Spawn => (
                '$',
                "contains `$`, which separates the parts of a child's key",
            ),
            Self::Entry | Self::Queue => return None,
        };
        key.contains(separator).then_some(problem)
    }

    fn length(self, key: &str) -> Option<&'static str> {
        let (limit, problem) = match self {
            Self::Run => (
                RUN_KEY_BYTES_MAX,
                "is longer than 512 bytes; use a digest of it",
            ),
            Self::Operation | Self::Branch => (
                OPERATION_KEY_BYTES_MAX,
                "is longer than 64 KiB; use a digest of it",
            ),
            // Counted as a part of the child's key.
            Self::Spawn => return None,
            Self::Entry => (
                ENTRY_KEY_BYTES_MAX,
                "is longer than 1 KiB; use a digest of it",
            ),
            Self::Queue => (QUEUE_BYTES_MAX, "is longer than 512 bytes"),
        };
        (key.len() > limit).then_some(problem)
    }
}

/// Characters of a key that messages show.
const SHOWN_CHARS: usize = 80;

/// A key as messages show it: one that is too long must not hide what is said of it.
#[must_use]
pub fn shown(key: &str) -> Cow<'_, str> {
    match key.char_indices().nth(SHOWN_CHARS) {
        None => key.into(),
        Some((end, _)) => format!("{}.. ({} bytes)", &key[..end], key.len()).into(),
    }
}

/// The digest that a record is named by whose own name (`step$<key>`) is longer than an index can
/// hold: its kind, and `#` and 64 digits of SHA-256. `None` for all others. Never changed: records
/// are found by it.
#[must_use]
pub fn short_name(name: &str) -> Option<String> {
    if name.len() <= NAME_BYTES_MAX {
        return None;
    }
    let kind = name.split_once('$').map_or("", |(kind, _)| kind);
    let digest = Sha256::digest(name.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{kind}$#{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_takes_keys_up_to_its_limit_and_no_longer_ones() {
        let limits = [
            (KeyOf::Run, RUN_KEY_BYTES_MAX),
            (KeyOf::Operation, OPERATION_KEY_BYTES_MAX),
            (KeyOf::Branch, OPERATION_KEY_BYTES_MAX),
            (KeyOf::Entry, ENTRY_KEY_BYTES_MAX),
            (KeyOf::Queue, QUEUE_BYTES_MAX),
        ];
        for (of, limit) in limits {
            assert_eq!(of.problem(&"x".repeat(limit)), None, "{of:?}");
            let told = of.problem(&"x".repeat(limit + 1));
            assert!(told.is_some_and(|told| told.contains("longer")), "{of:?}");
            for bad in ["", " ", "\t\n", "\u{a0}", "a\0b"] {
                assert!(of.problem(bad).is_some(), "{of:?} {bad:?}");
            }
            assert_eq!(of.problem(" a b "), None, "{of:?}");
        }
    }

    #[test]
    fn a_long_name_has_one_digest_for_ever() {
        assert_eq!(short_name(&format!("step${}", "x".repeat(995))), None);
        let long = format!("step${}", "x".repeat(996));
        let expected = "step$#8a9fd39dfe95b291f57cf92514a9f15eae0e4637d619b431b279561ec65889a8";
        assert_eq!(short_name(&long).as_deref(), Some(expected));
        assert_ne!(short_name(&long), short_name(&format!("{long}x")));
    }
}
