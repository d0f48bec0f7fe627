//! The run's context: small durable values by key.
//!
//! Written inside a step, an entry commits with that step's record; written in the body, it is said
//! again by every replay. Values are JSON of at most 16 KiB each and 1 MiB together, returned by
//! value.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, codec};
use crate::engine::pass::Delta;
use crate::error::ContextError;
use crate::record::Json;
use crate::record::keys::KeyOf;

/// The most bytes of JSON that one entry may have.
pub const ENTRY_BYTES_MAX: usize = 16 << 10;

impl Context {
    /// Writes an entry.
    ///
    /// # Errors
    /// [`ContextError::TooLarge`] over 16 KiB of JSON, [`ContextError::Full`] where all entries
    /// together would be over `Builder::context_bytes_max`, [`ContextError::Unstorable`] when the
    /// value cannot be encoded, [`ContextError::BadKey`] for a key that is empty, blank, longer
    /// than 1 KiB or has a null character; nothing is written then.
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), ContextError> {
        let json = encode(key, value)?;
        self.write(Delta::from([(key.to_owned(), Some(json))]))
    }

    /// Writes an entry unless there is one; answers whether it wrote.
    ///
    /// # Errors
    /// As [`Context::set`]; a value under an existing key is not looked at.
    pub fn set_once<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<bool, ContextError> {
        if self.contains(key) {
            return Ok(false);
        }
        self.set(key, value).map(|()| true)
    }

    /// The entry, if there is one.
    ///
    /// # Errors
    /// [`ContextError::Undecodable`] when it does not read as `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ContextError> {
        decode(key, self.pass.context_entry(key))
    }

    /// The entry, or `default` when there is none.
    ///
    /// # Errors
    /// As [`Context::get`].
    pub fn fetch<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T, ContextError> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// Whether there is an entry.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.pass.context_entry(key).is_some()
    }

    /// Replaces an entry by what `change` makes of it, and answers the new value.
    ///
    /// Of operations that run beside each other and update one entry, each counts: an attempt (of a
    /// step, a condition, a block, a tick) that ends after another operation has changed what it
    /// had read fails with [`ContextError::Changed`], writes nothing, and is tried again by its
    /// policy. So does one that ends while a block or a repeat which is not over has written the
    /// entry. What the body itself writes is never refused.
    ///
    /// # Errors
    /// As [`Context::get`] and [`Context::set`].
    pub fn update<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        change: impl FnOnce(Option<T>) -> T,
    ) -> Result<T, ContextError> {
        let value = change(decode(key, self.pass.context_base(key))?);
        let json = encode(key, &value)?;
        let stored = codec::decode(&json).map_err(|problem| unstorable(key, problem))?;
        self.write(Delta::from([(key.to_owned(), Some(json))]))?;
        Ok(stored)
    }

    /// Removes an entry; answers whether there was one.
    pub fn remove(&self, key: &str) -> bool {
        let existed = self.contains(key);
        if existed {
            self.pass
                .write_context(Delta::from([(key.to_owned(), None)]));
        }
        existed
    }

    /// Writes several entries, all or none.
    ///
    /// # Errors
    /// As [`Context::set`]; then no entry is written.
    pub fn set_all<K: Into<String>, T: Serialize>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(), ContextError> {
        self.write_all(entries, false)
    }

    /// Writes those of the entries that are absent, all or none.
    ///
    /// # Errors
    /// As [`Context::set`] for the absent ones; values under existing keys are not looked at.
    pub fn set_all_once<K: Into<String>, T: Serialize>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
    ) -> Result<(), ContextError> {
        self.write_all(entries, true)
    }

    fn write_all<K: Into<String>, T: Serialize>(
        &self,
        entries: impl IntoIterator<Item = (K, T)>,
        once: bool,
    ) -> Result<(), ContextError> {
        let mut delta = Delta::new();
        for (key, value) in entries {
            let key = key.into();
            if once && (delta.contains_key(&key) || self.contains(&key)) {
                continue;
            }
            let json = encode(&key, &value)?;
            delta.insert(key, Some(json));
        }
        self.write(delta)
    }

    fn write(&self, delta: Delta) -> Result<(), ContextError> {
        let limit = self.pass.host.config.context_bytes_max;
        let bytes = self.pass.context_bytes_with(&delta);
        if bytes > limit {
            return Err(ContextError::Full { bytes, limit });
        }
        self.pass.write_context(delta);
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(key: &str, entry: Option<Json>) -> Result<Option<T>, ContextError> {
    let decoded = entry.map(|json| codec::decode(&json)).transpose();
    decoded.map_err(|problem| ContextError::Undecodable {
        key: key.to_owned(),
        type_name: std::any::type_name::<T>(),
        problem,
    })
}

fn encode<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Json, ContextError> {
    if let Some(problem) = KeyOf::Entry.problem(key) {
        return Err(ContextError::BadKey {
            key: key.to_owned(),
            problem,
        });
    }
    let json = codec::encode(value).map_err(|problem| unstorable(key, problem))?;
    // The type that reads it is not known here, but no type reads that; nor would the whole context
    // be read.
    codec::check_depth(&json, 1).map_err(|problem| unstorable(key, problem))?;
    if json.len() > ENTRY_BYTES_MAX {
        return Err(ContextError::TooLarge {
            key: key.to_owned(),
            bytes: json.len(),
            limit: ENTRY_BYTES_MAX,
        });
    }
    Ok(json)
}

fn unstorable(key: &str, problem: String) -> ContextError {
    ContextError::Unstorable {
        key: key.to_owned(),
        problem,
    }
}
