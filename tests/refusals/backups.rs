//! Where no backup can be written.

use std::path::{Path, PathBuf};

use chrono_forge::prelude::*;
use chrono_forge::{BackupError, Error};
use chrono_forge_tests::backend::Backend;
use chrono_forge_tests::scenario::{World, scenario};
use rusqlite::Connection;

use super::disk::SmallDisk;
use super::healthy;

/// Files in this directory that a backup has left behind.
fn left_in(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".partial-")).count()
}

#[scenario]
async fn a_backup_that_cannot_be_is_refused_by_name(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    let path = world.dir().join("copy.db");
    if world.backend() == Backend::Postgres {
        let error = forge.backup(&path).await.unwrap_err();
        assert!(matches!(error, BackupError::Unsupported), "{error}");
        assert!(error.to_string().contains("pg_dump"), "{error}");
        return;
    }
    std::fs::write(&path, "").unwrap();
    let error = forge.backup(&path).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    assert!(error.to_string().contains("copy.db"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), [0_u8; 0]);
    let file = world.file();
    for ending in ["", "-wal", "-shm", "-journal"] {
        let own = format!("{}{ending}", file.display());
        let error = forge.backup(&own).await.unwrap_err();
        assert!(
            matches!(error, BackupError::IsTheDatabase { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(&own), "{error}");
    }
    let nowhere = world.dir().join("no").join("copy.db");
    let error = forge.backup(&nowhere).await.unwrap_err();
    assert!(matches!(error, BackupError::Write { .. }), "{error}");
    assert!(error.to_string().contains("no/copy.db"), "{error}");
    let folder = world.dir().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let error = forge.backup(&folder).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    for nothing in [
        "".into(),
        world.dir().join("copy.db").join(""),
        folder.join(""),
    ] {
        let error = forge.backup(&nothing).await.unwrap_err();
        let is_refused = matches!(
            error,
            BackupError::Write { .. } | BackupError::Exists { .. }
        );
        assert!(is_refused, "{}: {error}", nothing.display());
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(left_in(world.dir()), 0);
    let run = forge.start("after", healthy()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    forge.shutdown().await;
    let error = forge.backup(world.dir().join("late.db")).await.unwrap_err();
    assert!(
        matches!(error, BackupError::Forge(Error::Closed)),
        "{error}"
    );
}

#[cfg(unix)]
#[scenario(sqlite_only = "a server has backups of its own")]
async fn the_database_under_another_name_is_the_database(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    let link = world.dir().join("link");
    std::os::unix::fs::symlink(world.dir(), &link).unwrap();
    let name = world.file().file_name().unwrap().to_owned();
    let error = forge.backup(link.join(name)).await.unwrap_err();
    assert!(
        matches!(error, BackupError::IsTheDatabase { .. }),
        "{error}"
    );
}

/// The log of a database that was removed without it.
fn leave_a_log(file: &Path) -> PathBuf {
    let log = PathBuf::from(format!("{}-wal", file.display()));
    let conn = Connection::open(file).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE other AS SELECT 'other' AS t")
        .unwrap();
    let left = std::fs::read(&log).unwrap();
    drop(conn);
    std::fs::remove_file(file).unwrap();
    std::fs::write(&log, left).unwrap();
    log
}

#[scenario(sqlite_only = "a server has backups of its own")]
async fn what_another_database_left_is_never_read_into_a_backup(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    let run = forge.start("k", healthy()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    let copy = world.dir().join("copy.db");
    let log = leave_a_log(&copy);
    let journal = world.dir().join("other.db-journal");
    std::fs::write(&journal, "left behind").unwrap();
    for (path, left) in [(&copy, &log), (&world.dir().join("other.db"), &journal)] {
        let error = forge.backup(path).await.unwrap_err().to_string();
        assert!(error.contains(left.to_str().unwrap()), "{error}");
        assert!(!path.exists() && left.exists());
    }
    std::fs::remove_file(&log).unwrap();
    forge.backup(&copy).await.unwrap();
    assert_eq!(runs_in(&copy), 1);
}

fn runs_in(copy: &Path) -> i64 {
    let conn = Connection::open(copy).unwrap();
    let check: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let count = "SELECT count(*) FROM chrono_forge_workflows";
    conn.query_row(count, [], |row| row.get(0)).unwrap()
}

#[scenario(sqlite_only = "a server has backups of its own")]
async fn of_two_backups_to_one_path_one_is_written(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    forge.start("k", healthy()).await.unwrap();
    let copy = world.dir().join("copy.db");
    let both = tokio::join!(forge.backup(&copy), forge.backup(&copy));
    let ((Ok(()), Err(error)) | (Err(error), Ok(()))) = both else {
        panic!("{both:?}");
    };
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    assert_eq!((runs_in(&copy), left_in(world.dir())), (1, 0));
}

#[scenario(sqlite_only = "a server has backups of its own")]
async fn a_backup_that_a_shutdown_overtakes_is_whole_or_not_there(world: &World) {
    let forge = world.forge([healthy::NAME]).await;
    forge.start("k", healthy()).await.unwrap();
    let ballast = "CREATE TABLE ballast AS SELECT zeroblob(60000000) AS b";
    world.rows().edit(ballast, &[]);
    let copy = world.dir().join("copy.db");
    let mut begun = false;
    let backup = forge.backup(&copy).progress(|_| {
        if !std::mem::replace(&mut begun, true) {
            tokio::spawn({
                let forge = forge.clone();
                async move { forge.shutdown().await }
            });
        }
    });
    match backup.await {
        Ok(()) => assert_eq!(runs_in(&copy), 1),
        Err(error) => assert!(!copy.exists(), "{error}"),
    }
    world.until(|| left_in(world.dir()) == 0).await;
}

#[scenario(sqlite_only = "a server has backups of its own")]
async fn a_disk_that_is_too_small_is_named_and_left_as_it_was(world: &World) {
    let Some(disk) = SmallDisk::mount(&world.dir().join("disk")) else {
        return;
    };
    let forge = world.forge([healthy::NAME]).await;
    let ballast = "CREATE TABLE ballast AS SELECT zeroblob(8000000) AS b";
    world.rows().edit(ballast, &[]);
    let error = forge.backup(disk.path().join("copy.db")).await.unwrap_err();
    let BackupError::Full { bytes, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(*bytes > 8_000_000, "{bytes}");
    assert!(error.to_string().contains("disk/copy.db"), "{error}");
    let left = std::fs::read_dir(disk.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    forge.backup(world.dir().join("copy.db")).await.unwrap();
}

#[scenario(sqlite_only = "a server has backups of its own")]
async fn a_database_in_memory_is_copied_too(world: &World) {
    let memory = Forge::builder("sqlite::memory:").workflows([healthy::NAME]);
    let memory = memory.open().await.unwrap();
    let run = memory.start("k", healthy()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    let copy = world.dir().join("copy.db");
    memory.backup(&copy).await.unwrap();
    let url = format!("sqlite://{}", copy.display());
    let forge = Forge::builder(&url).workflows([healthy::NAME]);
    let forge = forge.open().await.unwrap();
    let run = forge.get::<healthy>("k").await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
}
