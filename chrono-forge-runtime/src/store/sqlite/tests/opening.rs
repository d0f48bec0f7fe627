//! Looking through a file that was not closed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;

use super::told::Told;
use crate::error::StoreErrorKind;
use crate::store::conformance::backend::sqlite::Scratch;
use crate::store::sqlite::connection::Purpose;
use crate::store::sqlite::{Synchronous, opening};
use crate::store::StoreResult;

/// The largest file that is looked through.
const MOST: u64 = 256 << 20;

/// A malformed file of so many bytes. What it has beyond its pages nobody reads, and the disk need
/// not keep it.
fn spoilt(bytes: u64) -> Scratch {
    let scratch = Scratch::new();
    let file = scratch.path("forge.db");
    let fill = "PRAGMA journal_mode = WAL; CREATE TABLE t (n); INSERT INTO t VALUES (zeroblob(1 << 20)); CREATE TABLE u (n);
        WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 10000)
        INSERT INTO u SELECT n FROM r;";
    scratch.raw().batch_execute(fill).unwrap();
    let mut content = fs::read(&file).unwrap();
    let from = content.len() - (32 << 10);
    content[from..].fill(0xa5);
    fs::write(&file, content).unwrap();
    lengthen(&file, bytes);
    scratch
}

fn lengthen(file: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(bytes).unwrap();
}

/// What opening it comes to, and what is told.
fn open(scratch: &Scratch) -> (StoreResult<()>, Vec<String>) {
    let file = scratch.path("forge.db");
    let write = Purpose::Write(Synchronous::Full);
    let told = Told::default();
    let opened = tracing::subscriber::with_default(told.clone(), || {
        let url = file.to_str().unwrap();
        opening::open(&file, (url, write), Duration::from_secs(5)).map(drop)
    });
    (opened, told.lines())
}

/// Whoever used it last did not close it.
fn leave_a_log(scratch: &Scratch) {
    fs::write(scratch.path("forge.db-wal"), [0_u8; 32]).unwrap();
}

#[test]
fn a_file_that_nobody_closed_is_looked_through_up_to_256_mib_and_no_larger_one() {
    let scratch = spoilt(MOST);
    leave_a_log(&scratch);
    let (opened, told) = open(&scratch);
    let error = opened.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    assert!(error.message.contains("forge.db is malformed"), "{error}");
    assert!(told.is_empty(), "{told:?}");
    let scratch = spoilt(MOST + 4_096);
    leave_a_log(&scratch);
    let (opened, told) = open(&scratch);
    opened.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    let size = format!("size={}", MOST + 4_096);
    for word in ["INFO", "forge.db", &size, "too large", "PRAGMA quick_check"] {
        assert!(told[0].contains(word), "{word}: {told:?}");
    }
}

#[test]
fn a_file_that_was_closed_is_looked_through_up_to_4_mib_and_no_larger_one() {
    for (bytes, is_refused) in [(4 << 20, true), ((4 << 20) + 4_096, false)] {
        let (opened, told) = open(&spoilt(bytes));
        assert_eq!(opened.is_err(), is_refused, "{bytes}");
        assert!(told.is_empty(), "{told:?}");
    }
}
