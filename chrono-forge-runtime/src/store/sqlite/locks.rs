//! One lock file per worker, beside the database: the operating system frees the lock with the
//! process, so a crash is known at once and not when the lease ends.
//!
//! Some file systems grant every lock. There the files would say that everybody is dead, so a store tries two locks
//! on one file before it believes any.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::access;
use crate::error::{StoreError, StoreErrorKind};
use crate::record::WorkerId;
use crate::store::{StoreResult, WorkerLocks};

/// Takes the lock of a file, as [`File::try_lock`] does.
pub(super) type TryLock = fn(&File) -> Result<(), TryLockError>;

/// A file that is locked for a moment only, and is older than this, belongs to a process that died.
const MOMENT: Duration = Duration::from_secs(60);

/// `<database>-worker-<id>.lock`.
pub(super) struct LockFiles {
    database: PathBuf,
    try_lock: TryLock,
}

impl LockFiles {
    pub(super) fn new(database: &Path, try_lock: TryLock) -> Self {
        Self {
            database: database.to_owned(),
            try_lock,
        }
    }

    fn path(&self, worker: WorkerId, ending: &str) -> PathBuf {
        self.beside(&format!("worker-{worker}.{ending}"))
    }

    fn beside(&self, name: &str) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push(format!("-{name}"));
        path.into()
    }

    /// Whether a lock that is held is refused to others. What cannot be tried is told by [`WorkerLocks::hold`].
    pub(super) fn are_kept(&self) -> bool {
        static TRIALS: AtomicU64 = AtomicU64::new(0);
        let trial = TRIALS.fetch_add(1, Ordering::Relaxed);
        let path = self.beside(&format!("trial-{}-{trial}.lock", std::process::id()));
        let are_kept = self.try_two(&path);
        let _ = std::fs::remove_file(&path);
        are_kept.unwrap_or(true)
    }

    fn try_two(&self, path: &Path) -> std::io::Result<bool> {
        let first = File::create(path)?;
        if (self.try_lock)(&first).is_err() {
            // No locks at all prove as little.
            return Ok(false);
        }
        let second = OpenOptions::new().write(true).open(path)?;
        Ok((self.try_lock)(&second).is_err())
    }

    /// Whether a file of this name and age was left behind: that of a worker which is not live, or
    /// one that is locked for a moment only and is old. A young one is not: its owner may be about
    /// to lock it.
    fn is_left(&self, name: &str, age: Duration, live: &[WorkerId]) -> bool {
        let database = self.database.file_name().and_then(OsStr::to_str);
        let Some(name) = database.and_then(|it| name.strip_prefix(it)) else {
            return false;
        };
        let worker = name.strip_prefix("-worker-");
        match worker.and_then(|it| it.strip_suffix(".lock")) {
            Some(id) => id
                .parse::<i64>()
                .is_ok_and(|id| live.iter().all(|live| live.0 != id)),
            None => {
                let is_new = worker.is_some_and(|it| it.ends_with(".lock-new"));
                let is_trial = name.starts_with("-trial-") && name.ends_with(".lock");
                (is_new || is_trial) && age > MOMENT
            }
        }
    }

    /// What taking the lock came to; `None` when there is no file.
    fn probe(&self, worker: WorkerId) -> Option<Result<(), TryLockError>> {
        let file = OpenOptions::new()
            .write(true)
            .open(self.path(worker, "lock"));
        file.ok().map(|file| (self.try_lock)(&file))
    }
}

impl WorkerLocks for LockFiles {
    fn hold(&self, worker: WorkerId) -> StoreResult<Box<dyn Send + Sync>> {
        // Locked under another name first: a probe must never see the file before it is locked.
        let (hidden, path) = (self.path(worker, "lock-new"), self.path(worker, "lock"));
        let lock = || {
            let file = File::create(&hidden)?;
            (self.try_lock)(&file)?;
            std::fs::rename(&hidden, &path)?;
            Ok::<_, std::io::Error>(file)
        };
        let file = lock().map_err(|error| {
            let kind = match error.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    StoreErrorKind::Access
                }
                _ => StoreErrorKind::Transient,
            };
            let message = format!("cannot hold {}: {error}", path.display());
            let error = StoreError::new("hold", kind, message);
            match kind {
                StoreErrorKind::Access => access::explained(&self.database, error),
                _ => error,
            }
        })?;
        Ok(Box::new(file))
    }

    fn is_free(&self, worker: WorkerId) -> bool {
        // A file system without locks must not declare the living dead.
        matches!(self.probe(worker), Some(Ok(())))
    }

    fn is_held(&self, worker: WorkerId) -> bool {
        matches!(self.probe(worker), Some(Err(TryLockError::WouldBlock)))
    }

    fn remove(&self, worker: WorkerId) {
        // Whoever declares the worker dead may come second; a file that stays does no harm.
        let _ = std::fs::remove_file(self.path(worker, "lock"));
    }

    fn sweep(&self, live: &[WorkerId]) {
        let folder = self.database.parent();
        let folder = folder.filter(|it| !it.as_os_str().is_empty());
        // What cannot be listed or removed stays, and does no harm.
        let entries = std::fs::read_dir(folder.unwrap_or(Path::new(".")));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let changed = entry.metadata().and_then(|it| it.modified());
            let age = changed.ok().and_then(|at| at.elapsed().ok());
            let age = age.unwrap_or_default();
            if !name.to_str().is_some_and(|it| self.is_left(it, age, live)) {
                continue;
            }
            let file = OpenOptions::new().write(true).open(entry.path());
            if file.is_ok_and(|file| (self.try_lock)(&file).is_ok()) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::record::Incarnation;

    #[test]
    fn what_dead_workers_left_is_swept_and_nothing_else() {
        let folder =
            std::env::temp_dir().join(format!("chrono-forge-sweep-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let locks = LockFiles::new(&folder.join("forge.db"), File::try_lock);
        let worker = |id| WorkerId(id, Incarnation(1));
        let held = locks.hold(worker(1)).unwrap();
        for id in [2, 3] {
            drop(locks.hold(worker(id)).unwrap());
        }
        let others = [
            "forge.db",
            "forge.db-wal",
            "forge.db-worker-4.lock-new",
            "forge.db-trial-9-1.lock",
            "forge.db-worker-x.lock",
            "other.db-worker-3.lock",
        ];
        for name in others {
            File::create(folder.join(name)).unwrap();
        }
        for name in ["forge.db-worker-5.lock-new", "forge.db-trial-9-0.lock"] {
            let old = SystemTime::now() - 2 * MOMENT;
            let file = File::create(folder.join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        locks.sweep(&[worker(2)]);
        let names = std::fs::read_dir(&folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        std::fs::remove_dir_all(&folder).unwrap();
        drop(held);
        let kept = ["forge.db-worker-1.lock", "forge.db-worker-2.lock"];
        let mut expected = [&others[..], &kept[..]].concat();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn locks_that_everybody_gets_are_not_believed() {
        let folder =
            std::env::temp_dir().join(format!("chrono-forge-locks-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let of = |try_lock| LockFiles::new(&folder.join("forge.db"), try_lock);
        assert!(of(File::try_lock).are_kept());
        assert!(!of(|_| Ok(())).are_kept());
        let left = std::fs::read_dir(&folder).unwrap().count();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(left, 0);
    }
}
