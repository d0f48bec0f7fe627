//! Real processes: killed, stopped, continued, sharing a file.
//!
//! They are Linux processes: signals and the locks of files are what is tested.
#![cfg(target_os = "linux")]

mod deaths;
mod keyset;
mod poison;
mod recovery;
mod sharing;
mod stopped;

use chrono_forge_tests::process::Ground;

/// A file for processes of the victim.
fn ground() -> Ground {
    Ground::new(env!("CARGO_BIN_EXE_victim"))
}
