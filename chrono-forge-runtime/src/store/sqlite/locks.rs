//! One lock file per worker, beside the database: the operating system frees the lock with the
//! process, so a crash is known at once and not when the lease ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{StoreError, StoreErrorKind};
use crate::record::WorkerId;
use crate::store::{StoreResult, WorkerLocks};

/// `<database>-worker-<id>.lock`.
pub(super) struct LockFiles {
    database: PathBuf,
}

impl LockFiles {
    pub(super) fn new(database: &Path) -> Self {
        Self {
            database: database.to_owned(),
        }
    }

    fn path(&self, worker: WorkerId, ending: &str) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push(format!("-worker-{worker}.{ending}"));
        path.into()
    }
}

impl WorkerLocks for LockFiles {
    fn hold(&self, worker: WorkerId) -> StoreResult<Box<dyn Send + Sync>> {
        // Locked under another name first: a probe must never see the file before it is locked.
        let (hidden, path) = (self.path(worker, "lock-new"), self.path(worker, "lock"));
        let lock = || {
            let file = File::create(&hidden)?;
            file.try_lock()?;
            std::fs::rename(&hidden, &path)?;
            Ok::<_, std::io::Error>(file)
        };
        let file = lock().map_err(|error| {
            let message = format!("cannot hold {}: {error}", path.display());
            StoreError::new("hold", StoreErrorKind::Transient, message)
        })?;
        Ok(Box::new(file))
    }

    fn is_free(&self, worker: WorkerId) -> bool {
        let file = OpenOptions::new()
            .write(true)
            .open(self.path(worker, "lock"));
        match file.map(|file| file.try_lock()) {
            Ok(Ok(())) => true,
            // A file system without locks must not declare the living dead.
            Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,
        }
    }

    fn remove(&self, worker: WorkerId) {
        // Whoever declares the worker dead may come second; a file that stays does no harm.
        let _ = std::fs::remove_file(self.path(worker, "lock"));
    }
}
