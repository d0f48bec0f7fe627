//! Bad input, and what it gives: a typed error or a failed run that names the remedy, and a process
//! that serves on.

#![allow(
    clippy::unwrap_used,
    reason = "bodies and helpers of tests are tests, too"
)]

#[cfg(unix)]
mod access;
mod backups;
mod calls;
mod disk;
mod files;
mod keys;
mod knobs;
mod opening;
mod places;
mod recovery;
mod registry;
mod runtimes;
mod stored;
mod values;

use chrono_forge::prelude::*;
use chrono_forge_tests::scenario::{FAILED, World};

/// What a healthy process still does.
#[workflow]
async fn healthy() -> Result<u32> {
    Ok(step!("works", { Ok(1_u32) }).await?)
}

/// The run fails at once, once, with an error row of this text; other runs are served.
async fn breaks_a_rule(world: &World, forge: &Forge, key: &str, text: &str) {
    let row = world.settle(key).await;
    let errors = world.rows().errors(key);
    assert_eq!(
        (row.state, row.wake_at),
        (FAILED, None),
        "{key}: {errors:?}"
    );
    let last = errors
        .last()
        .unwrap_or_else(|| panic!("{key} has no error row"));
    assert_eq!(
        last.class, "chrono_forge::DefinitionError",
        "{key}: {last:?}"
    );
    assert!(last.message.contains(text), "{key}: {}", last.message);
    let of_body = errors.iter().filter(|e| e.step_name.is_none()).count();
    assert_eq!(of_body, 1, "never retried: {errors:?}");
    serves_on(forge, key).await;
}

async fn serves_on(forge: &Forge, after: &str) {
    let after: String = after
        .chars()
        .filter(|c| c.is_alphanumeric())
        .take(50)
        .collect();
    let run = forge
        .start(&format!("after-{after}"), healthy())
        .await
        .unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
}
