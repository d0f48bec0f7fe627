//! Killed on the way to a backup, while others work on the database.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::process::{Ground, bounded};

use crate::backups::{
    BALLAST_BYTES, HELD, LIVING, UNFINISHED, assert_sound, go_on, load_ballast, number, partial,
    start_on,
};
use crate::ground;

/// Where a process dies by itself: before, between and behind what a kill from outside may hit.
const PLACES: [&str; 3] = ["backup.copy", "backup.copied", "backup.named"];

/// It is killed once so many parts of the copy are written, and once all of them are.
const PARTS: u64 = 6;

/// Whatever died on the way left a whole backup or none, and the database as it was.
struct Victims<'a> {
    ground: &'a Ground,
    keys: Arc<Mutex<Vec<String>>>,
    copies: usize,
}

impl Victims<'_> {
    /// What this process made, which is killed by whatever this is.
    fn check(&mut self, nth: usize, kill: impl FnOnce(&Ground, &Path)) {
        let acknowledged = self.keys.lock().unwrap().clone();
        let copy = self.ground.folder().join(format!("copy{nth}.db"));
        kill(self.ground, &copy);
        assert_sound(&self.ground.file());
        if !copy.exists() {
            assert!(!partial(&copy).is_empty(), "it had begun");
            return;
        }
        assert_sound(&copy);
        assert_eq!((number(&copy, LIVING), number(&copy, HELD)), (0, 0));
        for key in &acknowledged {
            let sql = format!("SELECT count(*) FROM chrono_forge_workflows WHERE key = '{key}'");
            assert_eq!(number(&copy, &sql), 1, "{key}");
        }
        self.copies += 1;
        std::fs::remove_file(&copy).unwrap();
    }
}

/// How much of this backup is written, if it has not its own name yet.
fn written(copy: &Path) -> Option<u64> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let partial = partial(copy);
    (!copy.exists()).then(|| partial.iter().map(|path| size(path)).max().unwrap_or(0))
}

#[backends(sqlite_only = "a server has backups of its own")]
fn a_backup_is_whole_or_has_no_name_wherever_its_process_is_killed(backend: Backend) {
    bounded(async {
        let ground = ground(backend);
        let _worker = ground.victim(ground.lease(), "");
        let forge = ground.observer().await;
        load_ballast(&ground);
        let (stop, keys) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let load = (Arc::clone(&stop), Arc::clone(&keys));
        let starts = tokio::spawn(start_on(forge.clone(), ground.out(), load.0, load.1));
        let mut victims = Victims {
            ground: &ground,
            keys: Arc::clone(&keys),
            copies: 0,
        };
        let kills = tokio::task::block_in_place(|| {
            for (nth, place) in PLACES.into_iter().enumerate() {
                victims.check(nth, |ground, copy| {
                    let copy = copy.display().to_string();
                    let points = format!("{place}=1");
                    let mut victim = ground.victim(&["--backup", &copy], &points);
                    assert!(!victim.ended().success());
                });
            }
            assert_eq!(victims.copies, 1, "the one that had its name");
            for part in 0..=PARTS {
                victims.check(
                    PLACES.len() + usize::try_from(part).unwrap(),
                    |ground, copy| {
                        let path = copy.display().to_string();
                        let mut victim = ground.victim(&["--backup", &path], "");
                        let enough = u64::from(BALLAST_BYTES) * part / PARTS;
                        ground.await_that("so much is written", || {
                            written(copy).is_none_or(|bytes| bytes > 0 && bytes >= enough)
                        });
                        victim.kill();
                    },
                );
            }
            PLACES.len() + usize::try_from(PARTS).unwrap() + 1
        });
        // What they have left behind is in nobody's way.
        let copy = ground.folder().join("copy0.db");
        let acknowledged = keys.lock().unwrap().clone();
        forge.backup(&copy).await.unwrap();
        stop.store(true, Relaxed);
        starts.await.unwrap();
        ground.await_that("the rest is done", || {
            number(&ground.file(), UNFINISHED) == 0
        });
        ground.assert_whole(kills);
        assert_eq!((number(&copy, LIVING), number(&copy, HELD)), (0, 0));
        go_on(&copy, &acknowledged, false).await;
    });
}
