//! Looking through a file that was not closed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection;

use crate::error::StoreErrorKind;
use crate::record::RunId;
use crate::store::conformance::backend::sqlite::Scratch;
use crate::store::conformance::fixture::*;
use crate::store::conformance::told::Told;
use crate::store::sqlite::connection::Purpose;
use crate::store::sqlite::{SqliteStore, Synchronous, opening};
use crate::store::*;

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
    let opened = told.hear(|| {
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

/// What a process that was killed has left: a file, and a log in which all of its runs are.
fn left_behind() -> Scratch {
    let (living, left) = (Scratch::new(), Scratch::new());
    let store = SqliteStore::open(living.options()).unwrap();
    let mut run = start("k", "flow", 1, None);
    // The file grows, of which page 1 tells.
    run.args = format!("\"{}\"", "x".repeat(1 << 20)).into();
    store.writer().unwrap().start(&[run], at(1)).unwrap();
    for file in ["forge.db", "forge.db-wal"] {
        fs::copy(living.path(file), left.path(file)).unwrap();
    }
    left
}

#[test]
fn a_log_whose_file_is_empty_or_gone_is_left_alone_and_told() {
    for is_gone in [true, false] {
        let scratch = left_behind();
        let (file, log) = (scratch.path("forge.db"), scratch.path("forge.db-wal"));
        let (content, logged) = (fs::read(&file).unwrap(), fs::read(&log).unwrap());
        match is_gone {
            true => fs::remove_file(&file).unwrap(),
            false => fs::write(&file, "").unwrap(),
        }
        let error = SqliteStore::open(scratch.options()).map(drop).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
        for word in ["forge.db is ", "forge.db-wal", "put the file back"] {
            assert!(error.message.contains(word), "{word}: {error}");
        }
        assert_eq!(fs::read(&log).unwrap(), logged);
        // That was the remedy.
        fs::write(&file, content).unwrap();
        let store = SqliteStore::open(scratch.options()).unwrap();
        assert!(store.run(RunId(1)).unwrap().is_some());
    }
}

/// A file and a log that are refused.
fn refused(scratch: &Scratch) -> StoreError {
    let read = || ["forge.db", "forge.db-wal"].map(|file| fs::read(scratch.path(file)).unwrap());
    let before = read();
    let error = SqliteStore::open(scratch.options()).map(drop).unwrap_err();
    assert!(read() == before, "something was written: {error}");
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    error
}

/// `PRAGMA quick_check` finds most of these, too, where it is made.
#[test]
fn a_log_that_is_not_that_of_the_file_is_told_however_large_the_file_is() {
    let copy = left_behind();
    let sql = format!("VACUUM INTO '{}'", copy.path("copy.db").display());
    copy.raw().batch_execute(&sql).unwrap();
    for bytes in [None, Some(MOST + 4_096)] {
        let scratch = left_behind();
        let file = scratch.path("forge.db");
        fs::copy(copy.path("copy.db"), &file).unwrap();
        if let Some(bytes) = bytes {
            lengthen(&file, bytes);
        }
        let error = refused(&scratch);
        for word in ["forge.db", "-wal", "another file"] {
            assert!(error.message.contains(word), "{word}: {error}");
        }
        // That was the remedy.
        fs::remove_file(scratch.path("forge.db-wal")).unwrap();
        let store = SqliteStore::open(scratch.options()).unwrap();
        assert!(store.run(RunId(1)).unwrap().is_some());
    }
}

/// Then SQLite reads page 1 from the file, whatever file that is.
#[test]
fn a_log_without_page_1_that_is_not_that_of_the_file_is_told_by_the_size() {
    let (living, left) = (Scratch::new(), Scratch::new());
    let store = SqliteStore::open(living.options()).unwrap();
    let run = start("k", "flow", 1, None);
    store.writer().unwrap().start(&[run], at(1)).unwrap();
    let copy = left.path("copy.db");
    let ask = |sql: &str| living.raw().batch_execute(sql).unwrap();
    ask("CREATE TABLE spare AS SELECT randomblob(99999) AS n; DROP TABLE spare;");
    ask("PRAGMA wal_checkpoint(TRUNCATE)");
    ask("UPDATE chrono_forge_workflows SET queue = 'other'");
    let (file, log) = (left.path("forge.db"), left.path("forge.db-wal"));
    fs::copy(living.path("forge.db"), &file).unwrap();
    fs::copy(living.path("forge.db-wal"), &log).unwrap();
    ask(&format!("VACUUM INTO '{}'", copy.display()));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, fs::read(&copy).unwrap()).unwrap();
    let error = refused(&left);
    assert!(error.message.contains("another file"), "{error}");
    fs::write(&file, whole).unwrap();
    let store = SqliteStore::open(left.options()).unwrap();
    assert!(store.run(RunId(1)).unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_at_all_is_told_with_the_remedy_too() {
    for bytes in [1 << 21, MOST + 4_096] {
        let scratch = spoilt(bytes);
        let file = scratch.path("forge.db");
        let file = fs::OpenOptions::new().write(true).open(file).unwrap();
        // Behind what says that it is a database.
        std::os::unix::fs::FileExt::write_all_at(&file, &[0xa5; 3_996], 100).unwrap();
        leave_a_log(&scratch);
        let error = refused(&scratch);
        for word in ["forge.db is malformed", "a whole copy", "`-wal`"] {
            assert!(error.message.contains(word), "{word}: {error}");
        }
    }
}
