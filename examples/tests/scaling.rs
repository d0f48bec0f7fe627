//! The example `scaling` as a whole scene: two workers, one of which is cut off, replaced, and comes back.

#![cfg(all(unix, feature = "postgres"))]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "this is a test")]

use std::path::Path;
use std::process::{Command, Stdio};

/// What is told, in this order.
const STORY: [&str; 7] = [
    "WEST IS CUT OFF",
    "west |  WARN chrono_forge: the lease was not renewed in time",
    "WEST'S LEASE IS OVER",
    "WEST'S CABLE IS MENDED",
    "WEST IS BACK",
    "2000 parcels, 2000 records of weighing, 2000 parcels with one",
    "Each parcel is recorded once",
];

/// As the script says what is missing here.
const MISSING: [&str; 4] = [
    "is missing",
    "no PostgreSQL server",
    "it takes an account",
    "namespaces need",
];

fn scene_of(mode: &str) {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap();
    let example = built.join("examples/scaling");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scaling/run");
    assert!(
        example.exists(),
        "not built: cargo build -p chrono-forge-examples --features postgres --examples"
    );
    let output = Command::new(script)
        .arg(mode)
        .env("SCALING", example)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    if MISSING.iter().any(|reason| complaint.contains(reason)) {
        return eprintln!("skipped: {mode}: {complaint}");
    }
    assert!(output.status.success(), "{told}{complaint}");
    let mut rest = told.as_str();
    for part in STORY {
        let at = rest.find(part);
        rest = &rest[at.unwrap_or_else(|| panic!("{part:?} is not told, or too late: {told}"))..];
    }
}

#[test]
fn postgres_workers_in_two_namespaces_one_of_which_is_cut_off() {
    scene_of("namespaces");
}

#[test]
fn postgres_workers_behind_a_relay_that_freezes() {
    scene_of("relay");
}
