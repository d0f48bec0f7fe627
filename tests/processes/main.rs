//! Real processes: killed, stopped, continued, sharing a database.
//!
//! They are Linux processes: signals and the locks of files are what is tested.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "bodies and helpers of tests are tests, too"
)]

mod backups;
mod deaths;
mod hearing;
mod keyset;
mod killed_backups;
mod large_log;
mod log;
mod poison;
mod recovery;
mod replaced;
mod serving;
mod sharing;
mod shims;
mod stopped;

use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::process::Ground;

/// A database for processes of the victim.
fn ground(backend: Backend) -> Ground {
    Ground::new(backend, env!("CARGO_BIN_EXE_victim"))
}
