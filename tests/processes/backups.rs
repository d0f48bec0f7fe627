//! A copy of a database in use: whole, of one moment, and no burden to anybody.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono_forge::{BackupProgress, Forge, Workflow};
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::{fan, labour};
use chrono_forge_tests::process::{Ground, bounded};
use rusqlite::Connection;

use crate::ground;

/// Bytes beside the runs, so that a backup takes a while.
pub(crate) const BALLAST_BYTES: u32 = 96 << 20;

/// Makes the database larger, behind the engine's back.
pub(crate) fn load_ballast(ground: &Ground) {
    let conn = Connection::open(ground.file()).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = format!("CREATE TABLE ballast AS SELECT zeroblob({BALLAST_BYTES}) AS b");
    conn.execute_batch(&sql).unwrap();
}

/// Backups of this path that are not finished.
pub(crate) fn partial(path: &Path) -> Vec<PathBuf> {
    let begin = format!("{}.partial-", path.display());
    let entries = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.display().to_string().starts_with(&begin));
    paths.collect()
}

pub(crate) fn number(file: &Path, sql: &str) -> i64 {
    let conn = Connection::open(file).unwrap();
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

pub(crate) fn assert_sound(file: &Path) {
    let conn = Connection::open(file).unwrap();
    let check: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

pub(crate) const UNFINISHED: &str = "SELECT count(*) FROM chrono_forge_workflows WHERE state <> 2";

pub(crate) const HELD: &str = "SELECT count(*) FROM chrono_forge_workflows WHERE state = 1";

const CRASHED: &str = "SELECT count(*) FROM chrono_forge_workflows WHERE crashes > 0";

pub(crate) const LIVING: &str =
    "SELECT count(*) FROM chrono_forge_workers WHERE stopped_at IS NULL";

/// Starts runs until it is told to stop; the keys of those that were acknowledged.
pub(crate) async fn start_on(
    forge: Forge,
    out: String,
    stop: Arc<AtomicBool>,
    keys: Arc<Mutex<Vec<String>>>,
) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("r{n}");
        forge.start(&key, labour(out.clone(), 3, 2)).await.unwrap();
        keys.lock().unwrap().push(key);
    }
}

#[backends(sqlite_only = "a server has backups of its own")]
fn a_backup_under_load_has_all_that_was_acknowledged_and_its_runs_go_on(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let _worker = ground.victim(ground.lease(), "");
        let forge = ground.observer().await;
        load_ballast(&ground);
        let family = forge.start("family", fan(ground.out(), 300, 3, 5)).await;
        let (stop, keys) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let starts = start_on(
            forge.clone(),
            ground.out(),
            Arc::clone(&stop),
            Arc::clone(&keys),
        );
        let starts = tokio::spawn(starts);
        while keys.lock().unwrap().len() < 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let acknowledged = keys.lock().unwrap().clone();
        let copy = ground.folder().join("copy.db");
        let mut told: Vec<BackupProgress> = Vec::new();
        let backup = forge.backup(&copy).progress(|progress| told.push(progress));
        backup.await.unwrap();
        let meanwhile = keys.lock().unwrap().len();
        stop.store(true, Ordering::Relaxed);
        starts.await.unwrap();

        assert!(meanwhile > acknowledged.len(), "nobody waits for a backup");
        assert!(partial(&copy).is_empty());
        assert_told(&told);
        for key in &acknowledged {
            let sql = format!("SELECT count(*) FROM chrono_forge_workflows WHERE key = '{key}'");
            assert_eq!(number(&copy, &sql), 1, "{key}");
        }
        assert!(number(&copy, UNFINISHED) > 0, "made under load");
        assert_eq!((number(&copy, LIVING), number(&copy, HELD)), (0, 0));
        go_on(&copy, &acknowledged, true).await;
        assert_eq!(number(&copy, CRASHED), 0);
        // The original goes on as if nothing had happened.
        assert_eq!(family.unwrap().result().await.unwrap(), 900);
        ground.await_that("the rest is done", || {
            number(&ground.file(), UNFINISHED) == 0
        });
        assert_eq!(number(&ground.file(), LIVING), 1);
        assert_eq!(number(&ground.file(), CRASHED), 0);
    });
}

fn assert_told(told: &[BackupProgress]) {
    let (first, last) = (told[0], told[told.len() - 1]);
    assert_eq!(first.pages_done, 0);
    assert_eq!(last.pages_done, last.pages_total);
    assert!(
        told.is_sorted_by_key(|progress| progress.pages_done),
        "{told:?}"
    );
    assert!(
        last.pages_total * 4_096 >= u64::from(BALLAST_BYTES),
        "{last:?}"
    );
}

/// Whoever opens the copy brings all of it to its end: these runs, and the family if it has one.
pub(crate) async fn go_on(copy: &Path, keys: &[String], has_family: bool) {
    assert_sound(copy);
    let builder = Forge::builder(&format!("sqlite://{}", copy.display()));
    let forge = builder
        .workflows([labour::NAME, fan::NAME])
        .open()
        .await
        .unwrap();
    for key in keys {
        let run = forge.get::<labour>(key).await.unwrap().unwrap();
        assert_eq!(run.result().await.unwrap(), 3);
    }
    let family = forge.get::<fan>("family").await.unwrap();
    assert_eq!(family.is_some(), has_family);
    if let Some(family) = family {
        assert_eq!(family.result().await.unwrap(), 900);
    }
    forge.shutdown().await;
}

#[backends(sqlite_only = "a server has backups of its own")]
fn a_process_that_is_killed_during_a_backup_leaves_the_database_as_it_is(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let forge = ground.observer().await;
        load_ballast(&ground);
        let run = forge.start("r", labour(ground.out(), 2, 0)).await.unwrap();
        let copy = ground.folder().join("copy.db");
        let mut killed = ground.victim(&["--backup", &copy.display().to_string()], "");
        ground.await_that("it is being written", || {
            let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
            copy.exists() || partial(&copy).iter().any(|path| size(path) > 0)
        });
        killed.kill();
        assert!(!copy.exists(), "it was finished before it could be killed");
        assert!(!partial(&copy).is_empty());
        assert_sound(&ground.file());
        forge.backup(&copy).await.unwrap();
        assert_sound(&copy);
        assert_eq!(
            number(&copy, "SELECT count(*) FROM chrono_forge_workflows"),
            1
        );
        let _worker = ground.victim(&[], "");
        assert_eq!(run.result().await.unwrap(), 2);
    });
}

#[backends(sqlite_only = "a server has backups of its own")]
fn a_backup_that_nobody_waits_for_leaves_nothing_behind(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let forge = ground.observer().await;
        load_ballast(&ground);
        let copy = ground.folder().join("copy.db");
        let mut begun = false;
        let backup = forge.backup(&copy).progress(|_| begun = true).into_future();
        let given_up = tokio::time::timeout(Duration::from_millis(10), backup).await;
        // A disk may be as fast as that.
        assert!(begun || given_up.is_err());
        ground.await_that("it is removed", || partial(&copy).is_empty());
        assert_eq!(copy.exists(), given_up.is_ok());
    });
}
