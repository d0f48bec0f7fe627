//! The write-ahead log: in the file when nothing else is to do, and within its bound.

#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::open;
use crate::error::StoreErrorKind;
use crate::record::WorkerId;
use crate::store::conformance::backend::sqlite::Scratch;
use crate::store::conformance::fixture::*;
use crate::store::sqlite::header::{self, Header};
use crate::store::sqlite::{Location, SqliteOptions, SqliteStore};
use crate::store::*;

fn log_bytes(scratch: &Scratch) -> u64 {
    std::fs::metadata(scratch.path("forge.db-wal")).map_or(0, |log| log.len())
}

/// What a copy of the file alone has, whatever is in its log.
fn runs_of_a_copy(scratch: &Scratch) -> i64 {
    let copy = scratch.path("copy.db");
    std::fs::copy(scratch.path("forge.db"), &copy).unwrap();
    let mut conn = SqliteConnection::establish(copy.to_str().unwrap()).unwrap();
    let count = diesel::dsl::sql::<BigInt>("SELECT count(*) FROM chrono_forge_workflows");
    count.get_result(&mut conn).unwrap_or(-1)
}

#[test]
fn an_idle_worker_has_everything_in_the_file() {
    let (mut forge, scratch) = open();
    forge.start_at("k", 1, at(1));
    let beat = |forge: &mut Forge, second| {
        let beat = forge.writer.heartbeat(forge.worker, &[], at(second));
        assert!(!beat.unwrap().worker_dead);
    };
    beat(&mut forge, 2);
    assert!(log_bytes(&scratch) > 0, "it was busy");
    beat(&mut forge, 3);
    assert_eq!((log_bytes(&scratch), runs_of_a_copy(&scratch)), (0, 1));
    // Once: heartbeats alone are no reason to sync the disk.
    beat(&mut forge, 4);
    assert!(log_bytes(&scratch) > 0);
    beat(&mut forge, 5);
    let before = log_bytes(&scratch);
    beat(&mut forge, 6);
    assert!(log_bytes(&scratch) > before);
}

#[test]
fn who_leaves_has_everything_in_the_file() {
    let (mut forge, scratch) = open();
    forge.start_at("k", 1, at(1));
    forge.writer.retire_worker(forge.worker, at(2)).unwrap();
    assert_eq!((log_bytes(&scratch), runs_of_a_copy(&scratch)), (0, 1));
}

#[test]
fn a_log_beyond_its_bound_is_cut_off_once_nobody_reads_it() {
    const BYTES_MAX: u64 = 1 << 20;
    let scratch = Scratch::new();
    let options = SqliteOptions {
        wal_bytes_max: BYTES_MAX,
        ..SqliteOptions::new(Location::File(scratch.path("forge.db")))
    };
    let store = SqliteStore::open(options).unwrap();
    let mut writer = store.writer().unwrap();
    let worker = enter(&mut *writer).unwrap();
    let mut reader = scratch.raw();
    let read = "BEGIN; SELECT count(*) FROM chrono_forge_workflows;";
    reader.batch_execute(read).unwrap();
    let begin = |writer: &mut dyn Writer, key: &str| {
        let mut start = start(key, "flow", 1, None);
        start.args = format!("\"{}\"", "x".repeat(64 << 10)).into();
        writer.start(&[start], at(1)).unwrap();
    };
    for n in 0..40 {
        begin(&mut *writer, &format!("k{n}"));
    }
    writer.heartbeat(worker, &[], at(2)).unwrap();
    assert!(log_bytes(&scratch) > BYTES_MAX, "a reader holds it");
    reader.batch_execute("COMMIT;").unwrap();
    writer.heartbeat(worker, &[], at(3)).unwrap();
    assert_eq!(log_bytes(&scratch), 0);
    // Without a heartbeat the writes themselves look, once a second.
    reader.batch_execute(read).unwrap();
    for n in 40..80 {
        begin(&mut *writer, &format!("k{n}"));
    }
    reader.batch_execute("COMMIT;").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    begin(&mut *writer, "last");
    assert_eq!(log_bytes(&scratch), 0);
}

/// What this thread has written to files so far. A checkpoint writes what it moves.
#[cfg(target_os = "linux")]
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.unwrap().parse().unwrap()
}

/// A large log that a reader, which is gone, has kept from being moved.
struct Large {
    scratch: Scratch,
    writer: Box<dyn Writer>,
    worker: WorkerId,
    _store: SqliteStore,
}

/// Three times as much as the writing connection moves by itself.
const LARGE_MIB: u64 = 48;

impl Large {
    fn new() -> Self {
        Self::of(LARGE_MIB, |options| options.wal_bytes_max = 1 << 20)
    }

    /// Of a little more than so many MiB.
    fn of(mib: u64, ask: impl FnOnce(&mut SqliteOptions)) -> Self {
        let scratch = Scratch::new();
        let mut options = SqliteOptions::new(Location::File(scratch.path("forge.db")));
        ask(&mut options);
        let store = SqliteStore::open(options).unwrap();
        let mut writer = store.writer().unwrap();
        let worker = enter(&mut *writer).unwrap();
        let mut reader = scratch.raw();
        let read = "BEGIN; SELECT count(*) FROM chrono_forge_workflows;";
        reader.batch_execute(read).unwrap();
        let mut begin = start("large", "flow", 1, None);
        begin.args = format!("\"{}\"", "x".repeat(1 << 20)).into();
        for n in 0..mib {
            begin.key = format!("large{n}");
            writer.start(std::slice::from_ref(&begin), at(1)).unwrap();
        }
        writer.heartbeat(worker, &[], at(2)).unwrap();
        reader.batch_execute("COMMIT;").unwrap();
        Self {
            scratch,
            writer,
            worker,
            _store: store,
        }
    }
}

#[test]
fn who_leaves_has_a_large_log_in_the_file_too_whoever_moves_it() {
    for is_being_moved in [false, true] {
        let mut large = Large::new();
        if is_being_moved {
            large.writer.heartbeat(large.worker, &[], at(3)).unwrap();
        }
        large.writer.retire_worker(large.worker, at(4)).unwrap();
        let runs = runs_of_a_copy(&large.scratch);
        assert_eq!(
            (log_bytes(&large.scratch), runs),
            (0, LARGE_MIB.cast_signed())
        );
    }
}

/// Calls until a large log is truncated; the most bytes that this thread wrote in one call.
#[cfg(target_os = "linux")]
fn most_moved_in_a_call(mut call: impl FnMut(&mut dyn Writer, WorkerId)) -> u64 {
    let mut large = Large::new();
    let until = Instant::now() + Duration::from_secs(60);
    let mut most = 0;
    while log_bytes(&large.scratch) > 1 << 20 {
        assert!(Instant::now() < until, "the log is never truncated");
        let before = written();
        call(&mut *large.writer, large.worker);
        most = most.max(written() - before);
        std::thread::sleep(Duration::from_millis(5));
    }
    most
}

/// Whether the library can tell how long a log is; where it cannot, nothing moves it beside the writing connection.
fn has_mover() -> bool {
    let scratch = Scratch::new();
    let store = SqliteStore::open(scratch.options()).unwrap();
    store.mover.is_some()
}

#[cfg(target_os = "linux")]
#[test]
fn the_writing_connection_moves_a_small_part_of_a_large_log() {
    if !has_mover() {
        println!("skipped: SQLite before 3.51 cannot tell how long a log is");
        return;
    }
    let mut n = 0;
    let busy = most_moved_in_a_call(|writer, _| {
        n += 1;
        let start = start(&format!("k{n}"), "flow", 1, None);
        writer.start(&[start], at(3)).unwrap();
    });
    let idle = most_moved_in_a_call(|writer, worker| {
        writer.heartbeat(worker, &[], at(3)).unwrap();
    });
    let most = LARGE_MIB << 20;
    assert!(busy < most / 2 && idle < most / 2, "{busy} {idle} {most}");
}

/// How many frames of the log are not in the file.
fn unmoved(scratch: &Scratch) -> i64 {
    let count = diesel::sql_query("PRAGMA wal_checkpoint(NOOP)");
    let counts: Vec<Counts> = count.load(&mut scratch.raw()).unwrap();
    counts[0].log - counts[0].checkpointed
}

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    log: i64,
    #[diesel(sql_type = BigInt)]
    checkpointed: i64,
}

#[test]
fn without_another_word_the_bound_of_the_log_is_64_mib() {
    for (mib, is_cut) in [(56, false), (65, true)] {
        let mut large = Large::of(mib, |_| {});
        let before = log_bytes(&large.scratch);
        assert_eq!(before > 64 << 20, is_cut, "{before}");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let is_moved = |large: &Large| match is_cut {
            true => log_bytes(&large.scratch) < before,
            false => unmoved(&large.scratch) < 1_000,
        };
        let mut n = 0;
        // A heartbeat looks at the log; that of an idle worker would truncate any.
        while !is_moved(&large) || n < 10 {
            assert!(std::time::Instant::now() < until, "nobody moves it");
            n += 1;
            let start = start(&format!("k{n}"), "flow", 1, None);
            large.writer.start(&[start], at(3)).unwrap();
            large.writer.heartbeat(large.worker, &[], at(3)).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(log_bytes(&large.scratch) < before, is_cut, "{before}");
    }
}

/// A commit of so much makes SQLite move the log by itself.
const MUCH: usize = 8 << 20;

#[test]
fn a_file_that_was_written_over_is_told_however_much_the_next_commit_writes() {
    if !has_mover() {
        println!("skipped: SQLite before 3.51 moves the log as it commits");
        return;
    }
    let changes: [fn(&Scratch); 2] = [
        |scratch| {
            let copy = scratch.path("copy.db");
            std::fs::copy(copy, scratch.path("forge.db")).unwrap();
        },
        |scratch| {
            std::fs::write(scratch.path("forge.db"), "").unwrap();
        },
    ];
    for change in changes {
        let (mut forge, scratch) = open();
        forge.start_at("before", 1, at(1));
        forge.writer.heartbeat(forge.worker, &[], at(2)).unwrap();
        forge.writer.heartbeat(forge.worker, &[], at(3)).unwrap();
        let copy = format!("VACUUM INTO '{}'", scratch.path("copy.db").display());
        scratch.raw().batch_execute(&copy).unwrap();
        change(&scratch);
        let mut much = start("after", "flow", 1, None);
        much.args = format!("\"{}\"", "x".repeat(MUCH)).into();
        let told = forge.writer.start(&[much], at(4)).map(drop).unwrap_err();
        assert_eq!(told.kind, StoreErrorKind::Replaced, "{told}");
    }
}

/// A copy that SQLite makes of a new file has counted as far as that by itself.
#[test]
fn a_new_file_has_counted_further_than_a_copy_of_it() {
    let (forge, scratch) = open();
    let made = format!("VACUUM INTO '{}'", scratch.path("copy.db").display());
    scratch.raw().batch_execute(&made).unwrap();
    let header = |name| Header::of(&header::keep(&scratch.path(name)).unwrap()).unwrap();
    assert!(!header("copy.db").follows(&header("forge.db")));
    // As in the file at the time of the last look, since nothing was moved.
    let (file, copy) = (scratch.path("forge.db"), scratch.path("copy.db"));
    std::fs::copy(copy, file).unwrap();
    let mut forge = forge;
    let one = start("after", "flow", 1, None);
    let told = forge.writer.start(&[one], at(4)).map(drop).unwrap_err();
    assert_eq!(told.kind, StoreErrorKind::Replaced, "{told}");
}

/// Closing the last connection moves the log, too.
#[test]
fn a_file_that_was_written_over_is_left_as_it_is_when_it_is_closed() {
    let (mut forge, scratch) = open();
    forge.start_at("before", 1, at(1));
    let (file, copy) = (scratch.path("forge.db"), scratch.path("copy.db"));
    let made = format!("VACUUM INTO '{}'", copy.display());
    scratch.raw().batch_execute(&made).unwrap();
    forge.start_at("in the log", 1, at(1));
    std::fs::copy(&copy, &file).unwrap();
    drop(forge);
    assert!(std::fs::read(&file).unwrap() == std::fs::read(&copy).unwrap());
}

#[test]
fn the_log_is_moved_between_commits_before_it_is_long() {
    if !has_mover() {
        println!("skipped: SQLite before 3.51 moves the log as it commits");
        return;
    }
    let (mut forge, scratch) = open();
    let mut most = 0;
    for n in 0..3_000 {
        forge.start_at(&format!("k{n}"), 1, at(1));
        most = most.max(log_bytes(&scratch));
    }
    let frames = most / 4_096;
    assert!((1_000..2_000).contains(&frames), "{frames}");
}
