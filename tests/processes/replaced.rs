//! The file is replaced while processes work on it, and some of them are killed: nothing more is
//! acknowledged, what is served next is refused as long as it is a mixture of two databases, and
//! what was acknowledged is where it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono_forge::prelude::*;
use chrono_forge_tests::backend::{Backend, backends};
use chrono_forge_tests::labour::labour;
use chrono_forge_tests::process::{Ground, Victim, bounded, within};
use tokio::task::JoinHandle;

use crate::backups::{HELD, LIVING, assert_sound, go_on, number};
use crate::ground;

/// What is done to the file, with a backup of it at hand.
type Change = fn(&Path, &Path);

const CHANGES: [(&str, Change); 5] = [
    ("another one is moved over it", |file, copy| {
        fs::rename(copy, file).unwrap();
    }),
    ("another one is written over it", |file, copy| {
        fs::copy(copy, file).unwrap();
    }),
    ("it is cut short", |file, _| {
        let opened = fs::OpenOptions::new().write(true).open(file).unwrap();
        opened.set_len(0).unwrap();
    }),
    ("it is removed", |file, _| fs::remove_file(file).unwrap()),
    ("it is moved away", |file, _| {
        fs::rename(file, away(file)).unwrap();
    }),
];

fn away(file: &Path) -> PathBuf {
    beside(file, ".away")
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// A client that starts runs until one is refused, and two workers.
struct Load {
    forge: Forge,
    keys: Arc<Mutex<Vec<String>>>,
    starts: JoinHandle<String>,
    workers: [Victim; 2],
}

impl Load {
    async fn begin(ground: &Ground) -> Self {
        let workers = [(); 2].map(|()| ground.victim(ground.lease(), ""));
        let forge = ground.observer().await;
        let keys = Arc::new(Mutex::new(Vec::new()));
        let starts = start_on(forge.clone(), ground.out(), Arc::clone(&keys));
        Self {
            forge,
            keys,
            starts: tokio::spawn(starts),
            workers,
        }
    }

    fn acknowledged(&self) -> Vec<String> {
        self.keys.lock().unwrap().clone()
    }

    async fn until_acknowledged(&self, more: usize) -> Vec<String> {
        let least = self.acknowledged().len() + more;
        while self.acknowledged().len() < least {
            assert!(
                !self.starts.is_finished(),
                "refused before the file was touched"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.acknowledged()
    }

    /// One worker is killed, the others find out by themselves and end in an error; everything that
    /// was acknowledged.
    async fn end(self, file: &Path) -> Vec<String> {
        let [mut killed, mut left] = self.workers;
        killed.kill();
        let name = file.display().to_string();
        let told = within("starts are refused", self.starts).await.unwrap();
        assert!(told.contains(&name), "{told}");
        let late = self.forge.start("late", labour(String::new(), 1, 0));
        let late = within("a late start", late).await;
        let late = late.map(drop).unwrap_err().to_string();
        assert!(late.contains(&name), "{late}");
        let ended = tokio::task::block_in_place(|| left.ended());
        assert!(!ended.success());
        within("a shutdown", self.forge.shutdown()).await;
        self.keys.lock().unwrap().clone()
    }
}

/// Starts runs until one is refused, and tells why.
async fn start_on(forge: Forge, out: String, keys: Arc<Mutex<Vec<String>>>) -> String {
    for n in 0_u64.. {
        let key = format!("r{n}");
        match forge.start(&key, labour(out.clone(), 3, 2)).await {
            Ok(_) => keys.lock().unwrap().push(key),
            Err(error) => return error.to_string(),
        }
    }
    String::new()
}

async fn refused(ground: &Ground) -> String {
    let opened = Forge::builder(&ground.url()).open().await;
    opened.map(drop).expect_err("it is served").to_string()
}

async fn change(ground: &Ground, what: &str, change: Change) {
    let file = ground.file();
    let load = within("the beginning", Load::begin(ground)).await;
    within("the first runs", load.until_acknowledged(50)).await;
    let (copy, spare) = (
        ground.folder().join("copy.db"),
        ground.folder().join("spare.db"),
    );
    let in_copy = load.acknowledged();
    let backup = load.forge.backup(&copy);
    within("a backup", backup).await.unwrap();
    fs::copy(&copy, &spare).unwrap();
    within("more runs", load.until_acknowledged(50)).await;
    change(&file, &spare);
    let all = load.end(&file).await;
    assert!(beside(&file, "-wal").exists(), "{what}");
    let told = within("an engine that opens", refused(ground)).await;
    assert!(told.contains(&file.display().to_string()), "{what}: {told}");
    assert!(told.contains("-wal"), "{what}: {told}");
    if away(&file).exists() {
        // Nothing has become of what was acknowledged: it is in the old file and its log.
        fs::rename(away(&file), &file).unwrap();
        assert_sound(&file);
        for key in &all {
            let sql = format!("SELECT count(*) FROM chrono_forge_workflows WHERE key = '{key}'");
            assert_eq!(number(&file, &sql), 1, "{key}");
        }
        within("the old file", go_on(&file, &all, false)).await;
        return;
    }
    for ending in ["-wal", "-shm"] {
        fs::remove_file(beside(&file, ending)).unwrap();
    }
    fs::rename(&copy, &file).unwrap();
    assert_eq!((number(&file, LIVING), number(&file, HELD)), (0, 0));
    within("the copy", go_on(&file, &in_copy, false)).await;
}

#[backends(sqlite_only = "a server guards its files")]
fn a_file_that_is_replaced_under_load_is_served_by_nobody_until_it_is_whole(backend: Backend) {
    for (what, how) in CHANGES {
        bounded(async {
            let ground = ground(backend);
            change(&ground, what, how).await;
        });
    }
}
