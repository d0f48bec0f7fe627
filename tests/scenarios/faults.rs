//! What can go wrong in the suites about retries, told by a script: `limited,offline,ok`.

use std::fmt;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{Probe, World};

/// An error of one kind.
#[derive(Debug)]
pub(crate) struct Limited;

/// An error of another kind.
#[derive(Debug)]
pub(crate) struct Offline;

/// An error that was caused by a [`Limited`].
#[derive(Debug)]
pub(crate) struct Delayed(pub(crate) Limited);

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("limited")
    }
}

impl fmt::Display for Offline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("offline")
    }
}

impl fmt::Display for Delayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("delayed")
    }
}

impl std::error::Error for Limited {}

impl std::error::Error for Offline {}

impl std::error::Error for Delayed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The error that a word of a script stands for.
pub(crate) fn raise(word: &str) -> anyhow::Error {
    match word {
        "limited" => Limited.into(),
        "offline" => Offline.into(),
        "delayed" => Delayed(Limited).into(),
        "context" => anyhow::Error::new(Limited).context("while calling"),
        other => anyhow::anyhow!("{other}"),
    }
}

/// Does what the script says of this call, and succeeds at its end.
pub(crate) async fn play(probe: &Probe, script: &str) -> Result<usize> {
    let nth = probe.nth("played");
    match script.split(',').nth(nth - 1) {
        None | Some("ok") => Ok(nth),
        Some("panic") => panic!("call {nth}"),
        Some("hang") => std::future::pending().await,
        Some(word) => Err(raise(word)),
    }
}

/// A policy of so many attempts, its delays 1, 2, 4, .. seconds.
pub(crate) fn up_to(attempts: u32) -> RetryPolicy {
    RetryPolicy::new().max_attempts(attempts).jitter(false)
}

/// What a record has used of its budgets, by name.
pub(crate) fn used(world: &World, key: &str, step_name: &str) -> serde_json::Value {
    let metadata = world.rows().record(key, step_name).metadata;
    let notes: serde_json::Value = match metadata {
        Some(text) => serde_json::from_str(&text).unwrap(),
        None => return serde_json::json!({}),
    };
    notes.get("retry_counts").cloned().unwrap_or_default()
}

/// The counts of budgets that are named after types.
pub(crate) fn counts<const N: usize>(counts: [(&str, u32); N]) -> serde_json::Value {
    let named = counts.map(|(name, count)| {
        let name = match name {
            "limited" => std::any::type_name::<Limited>(),
            "offline" => std::any::type_name::<Offline>(),
            other => other,
        };
        (name.to_owned(), serde_json::Value::from(count))
    });
    serde_json::Value::Object(named.into_iter().collect())
}
