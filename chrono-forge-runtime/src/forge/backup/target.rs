//! The file of a backup: under another name until it is whole, and never in the place of another
//! one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::BackupError;

/// How many names are tried that others use, or have left behind.
const NAMES_MAX: u32 = 10_000;

/// A file that is removed unless it is kept.
pub(super) struct Target {
    path: PathBuf,
    partial: PathBuf,
}

impl Target {
    /// An empty file beside this path, at which nothing stands.
    pub(super) fn beside(path: &Path) -> Result<Self, BackupError> {
        let failed = |error| BackupError::Write {
            path: path.to_owned(),
            error,
        };
        let path = std::path::absolute(path).map_err(failed)?;
        // A link that leads nowhere is something, too.
        if fs::symlink_metadata(&path).is_ok() {
            return Err(BackupError::Exists { path });
        }
        // Whoever opens the copy would have its content replaced by what is in there.
        let left = ["-wal", "-journal"].map(|ending| with_ending(&path, ending));
        if let Some(left) = left
            .into_iter()
            .find(|left| fs::symlink_metadata(left).is_ok())
        {
            return Err(BackupError::LeftBehind { path, left });
        }
        let partial = create_partial(&path).map_err(failed)?;
        Ok(Self { path, partial })
    }

    /// Where to write.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Where the file will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the file and gives it its name.
    pub(super) fn keep(&self) -> Result<(), BackupError> {
        let kept = self.sync().and_then(|()| self.name());
        kept.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => BackupError::Exists {
                path: self.path.clone(),
            },
            _ => self.failed(error),
        })
    }

    fn sync(&self) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.partial)?;
        file.sync_all()
    }

    /// Renaming would replace what somebody else has put there meanwhile; a second name does not.
    fn name(&self) -> io::Result<()> {
        match fs::hard_link(&self.partial, &self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
            // Some file systems know no second name.
            Err(_) if fs::symlink_metadata(&self.path).is_ok() => {
                return Err(ErrorKind::AlreadyExists.into());
            }
            Err(_) => fs::rename(&self.partial, &self.path)?,
        }
        sync_directory(&self.path)
    }

    /// The error of a backup that could not be written for this reason.
    pub(super) fn failed(&self, error: io::Error) -> BackupError {
        BackupError::Write {
            path: self.path.clone(),
            error,
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Gone already where it was renamed. SQLite leaves its journal to a transaction that
        // failed.
        let _ = fs::remove_file(&self.partial);
        let _ = fs::remove_file(with_ending(&self.partial, "-journal"));
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn create_partial(path: &Path) -> io::Result<PathBuf> {
    let process = std::process::id();
    for attempt in 0..NAMES_MAX {
        let partial = with_ending(path, &format!(".partial-{process}-{attempt}"));
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial);
        match created {
            Ok(_) => return Ok(partial),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// Where a directory cannot be opened, it needs no sync.
fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if cfg!(unix) => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}
