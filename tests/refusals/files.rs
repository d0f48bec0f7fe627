//! A database file that changes under a live engine: nothing is acknowledged that nobody will find again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono_forge::prelude::*;
use chrono_forge::{Error, RunError, StoreErrorKind};
use chrono_forge_tests::scenario::{Probe, World, scenario};
use chrono_forge_tests::telling;

use super::healthy;

/// Runs until it is let go.
#[workflow]
async fn hanging(probe: State<Probe>) -> Result<()> {
    step!("hang", {
        probe.note("hangs");
        probe.raised("go").await;
        Ok(())
    })
    .await?;
    Ok(())
}

fn builder(world: &World) -> chrono_forge::Builder {
    let builder = world.builder([healthy::NAME, hanging::NAME]);
    let builder = builder.poll_interval(Duration::from_millis(20));
    builder.heartbeat(Duration::from_millis(50))
}

/// A copy of the database as it is now, made as the manual says.
fn copy(world: &World) -> PathBuf {
    let copy = world.dir().join("copy.db");
    let sql = format!("VACUUM INTO '{}'", copy.display());
    world.rows().edit(&sql, &[]);
    copy
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// As somebody else may do it at any time.
fn checkpoint(file: &Path) {
    let beside = rusqlite::Connection::open(file).unwrap();
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    beside.query_row(checkpoint, [], |_| Ok(())).unwrap();
}

fn is_replaced(error: &Error) -> bool {
    matches!(error, Error::Store(error) if error.kind == StoreErrorKind::Replaced)
}

/// Whatever is done to the file, calls end in an error that names it, waiting ones too, and nothing more is taken.
async fn halts(world: &World, is_at_once: bool, change: impl FnOnce(&Path, &Path)) {
    let forge = builder(world).open().await.unwrap();
    let first = forge.start("first", healthy()).await.unwrap();
    assert_eq!(first.result().await.unwrap(), 1);
    let hangs = forge.start("hangs", hanging()).await.unwrap();
    world.noted("hangs", 1).await;
    let copy = copy(world);
    let between = forge.start("between", healthy()).await.unwrap();
    assert_eq!(between.result().await.unwrap(), 1);
    let file = world.file();
    change(&file, &copy);
    if !is_at_once {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let name = file.display().to_string();
    let refused = forge.start("after", healthy()).await;
    let refused = refused.map(drop).expect_err("it is acknowledged");
    assert!(is_replaced(&refused), "{refused:?}");
    assert!(refused.to_string().contains(&name), "{refused}");
    let told = hangs.result().await.expect_err("it has no end");
    assert!(
        matches!(&told, RunError::Forge(error) if is_replaced(error)),
        "{told:?}"
    );
    assert!(told.to_string().contains(&name), "{told}");
    // For good, and not only until the next look.
    let again = forge.start("again", healthy()).await.map(drop);
    assert!(
        again
            .expect_err("it is acknowledged")
            .to_string()
            .contains(&name)
    );
    forge.shutdown().await;
}

#[scenario(sqlite_only = "a server guards its files")]
async fn a_file_that_another_took_the_place_of_halts_the_engine(world: &World) {
    halts(world, true, |file, copy| fs::rename(copy, file).unwrap()).await;
}

#[scenario(sqlite_only = "a server guards its files")]
async fn a_file_that_was_removed_halts_the_engine(world: &World) {
    halts(world, true, |file, _| fs::remove_file(file).unwrap()).await;
}

/// File systems note the time of a change in ticks of some milliseconds, so a change may leave it
/// as it was.
#[scenario(sqlite_only = "a server guards its files")]
async fn a_file_that_was_written_over_and_looks_unchanged_halts_the_engine(world: &World) {
    let forge = builder(world).open().await.unwrap();
    let first = forge.start("first", healthy()).await.unwrap();
    assert_eq!(first.result().await.unwrap(), 1);
    let file = world.file();
    checkpoint(&file);
    let copy = copy(world);
    // Both have the same length and the same time of change, an hour from now, so that neither
    // tells the copy from the file.
    let length = fs::metadata(&file).unwrap().len();
    let instant = SystemTime::now() + Duration::from_secs(3_600);
    let changed_then = |path: &Path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(length).unwrap();
        file.set_modified(instant).unwrap();
    };
    changed_then(&file);
    let second = forge.start("second", healthy()).await.unwrap();
    assert_eq!(second.result().await.unwrap(), 1);
    fs::write(&file, fs::read(&copy).unwrap()).unwrap();
    changed_then(&file);
    let refused = forge.start("after", healthy()).await.map(drop);
    let refused = refused.expect_err("it is acknowledged");
    assert!(is_replaced(&refused), "{refused:?}");
}

#[scenario(sqlite_only = "a server guards its files")]
async fn a_file_that_a_copy_was_written_over_halts_the_engine(world: &World) {
    halts(world, false, |file, copy| {
        fs::copy(copy, file).unwrap();
    })
    .await;
}

#[scenario(sqlite_only = "a server guards its files")]
async fn a_file_that_was_cut_short_halts_the_engine(world: &World) {
    halts(world, false, |file, _| {
        let opened = fs::OpenOptions::new().write(true).open(file).unwrap();
        opened.set_len(0).unwrap();
    })
    .await;
}

#[scenario(sqlite_only = "a server guards its files")]
async fn a_log_that_was_removed_halts_the_engine(world: &World) {
    halts(world, true, |file, _| {
        fs::remove_file(beside(file, "-wal")).unwrap()
    })
    .await;
}

#[scenario(sqlite_only = "a server guards its files")]
async fn who_only_waits_is_told_of_the_file_too(world: &World) {
    let forge = builder(world).open().await.unwrap();
    let client = world.client().await;
    let hangs = client.start("hangs", hanging()).await.unwrap();
    world.noted("hangs", 1).await;
    let file = world.file();
    fs::rename(&file, world.dir().join("away.db")).unwrap();
    let name = file.display().to_string();
    let told = hangs.result().await.expect_err("it has no end");
    assert!(told.to_string().contains(&name), "{told}");
    assert!(!file.exists(), "no empty file takes its place");
    drop((forge, client));
}

#[scenario(sqlite_only = "a server guards its files")]
async fn checkpoints_and_vacuums_of_others_halt_nothing(world: &World) {
    let forge = builder(world).open().await.unwrap();
    for round in 0..3 {
        for nth in 0..5 {
            let run = forge
                .start(&format!("{round} {nth}"), healthy())
                .await
                .unwrap();
            assert_eq!(run.result().await.unwrap(), 1);
        }
        checkpoint(&world.file());
        world.rows().edit(
            "CREATE TABLE IF NOT EXISTS of_the_application (it TEXT)",
            &[],
        );
        world.rows().edit("VACUUM", &[]);
    }
    assert_eq!(
        forge
            .start("last", healthy())
            .await
            .unwrap()
            .result()
            .await
            .unwrap(),
        1
    );
    forge.shutdown().await;
}

/// A file whose pages in the midst of it are of no use.
async fn spoilt(world: &World) -> PathBuf {
    let file = world.file();
    let forge = builder(world).open().await.unwrap();
    for nth in 0..50 {
        let run = forge.start(&format!("{nth}"), healthy()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
    }
    forge.shutdown().await;
    drop(forge);
    checkpoint(&file);
    let mut bytes = fs::read(&file).unwrap();
    let (from, to) = (bytes.len() / 3, bytes.len() / 3 * 2);
    bytes[from..to].fill(0xa5);
    fs::write(&file, bytes).unwrap();
    file
}

async fn refused_as_malformed(world: &World, file: &Path) {
    let opened = builder(world).open().await.map(drop);
    let error = opened.expect_err("it is served").to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
    assert!(error.contains("malformed"), "{error}");
}

#[scenario(sqlite_only = "a server guards its files")]
async fn a_malformed_file_that_nobody_closed_is_refused_by_name(world: &World) {
    let file = spoilt(world).await;
    // The log of a process that was killed.
    fs::write(beside(&file, "-wal"), [0_u8; 32]).unwrap();
    refused_as_malformed(world, &file).await;
}

#[scenario(sqlite_only = "a server guards its files")]
async fn a_small_malformed_file_is_refused_by_name_whoever_closed_it(world: &World) {
    let file = spoilt(world).await;
    refused_as_malformed(world, &file).await;
}

/// Longer than a start should take to look through, by a whole page: SQLite would complete a part.
const TOO_LARGE: u64 = (256 << 20) + 4_096;

/// The rest of it has no pages, and no blocks on the disk.
fn lengthen(file: &Path) {
    let opened = fs::OpenOptions::new().write(true).open(file).unwrap();
    opened.set_len(TOO_LARGE).unwrap();
}

#[scenario(sqlite_only = "a server guards its files")]
async fn a_file_that_is_too_large_is_not_looked_through_and_that_is_told(world: &World) {
    telling::listen();
    let statements = world.statements();
    let file = world.file();
    let name = file.display().to_string();
    let told = || telling::told(&["INFO", "PRAGMA quick_check", &name]).len();
    let looked = || statements.take_of("PRAGMA quick_check").len();
    builder(world).open().await.unwrap().shutdown().await;
    let _ = looked();
    builder(world).open().await.unwrap().shutdown().await;
    assert_eq!((looked(), told()), (1, 0), "a small one");

    lengthen(&file);
    builder(world).open().await.unwrap().shutdown().await;
    assert_eq!((looked(), told()), (0, 0), "it was closed");
    // A shutdown waits for slow readers only so long, and the last of them takes the log away.
    while beside(&file, "-wal").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Its last checkpoint may have cut it off.
    lengthen(&file);
    // The log of a process that was killed.
    fs::write(beside(&file, "-wal"), [0_u8; 32]).unwrap();
    builder(world).open().await.unwrap().shutdown().await;
    assert_eq!((looked(), told()), (0, 1));
}
