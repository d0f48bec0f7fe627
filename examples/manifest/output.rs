//! The manifest and what lies beside it: the state file, its lock, the draft.
//!
//! The state file stands for a run whose end nobody has been told. While it is there, the run goes
//! on; it is removed after the last line of output, and that one `unlink` is the end of the run. So
//! a crash at any moment leaves either the whole state or a manifest that is whole and told.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::name::{Name, shown};

/// The names of everything that is written, in one directory.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    manifest: OsString,
}

impl Own {
    pub(crate) fn new(manifest: &OsStr) -> Self {
        let manifest = manifest.to_owned();
        Self { manifest }
    }

    pub(crate) fn has(&self, name: &OsStr) -> bool {
        let own = self.manifest.as_encoded_bytes();
        let Some(rest) = name.as_encoded_bytes().strip_prefix(own) else {
            return false;
        };
        let Some(rest) = rest.strip_prefix(b".db") else {
            return rest.is_empty() || rest == b".tmp";
        };
        let is_worker_lock = rest.starts_with(b"-worker-") && rest.ends_with(b".lock");
        let parts: [&[u8]; 5] = [b"", b"-wal", b"-shm", b"-journal", b".lock"];
        is_worker_lock || parts.contains(&rest)
    }
}

/// Where the manifest goes. Holds a lock: one process at a time works on an output.
#[derive(Debug)]
pub(crate) struct Output {
    /// As the user gave it, for messages.
    pub(crate) given: PathBuf,
    directory: PathBuf,
    own: Own,
    _lock: File,
}

impl Output {
    /// Finds out now what would otherwise fail after hours.
    pub(crate) fn claim(given: &Path) -> Result<Self> {
        let text = shown(given);
        if given.is_dir() {
            bail!("{text} is a directory; --out names a file");
        }
        if given.exists() && !given.is_file() {
            bail!("{text} is not a regular file and would be replaced by one");
        }
        let Some(name) = given.file_name() else {
            bail!("{text} names no file");
        };
        let parent = given.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = fs::canonicalize(parent.unwrap_or(Path::new(".")))
            .with_context(|| format!("{text} cannot be written: its directory"))?;
        let own = Own::new(name);
        let path = directory.join(with_suffix(name, ".db.lock"));
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("{text} cannot be written"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another process works on {text}"),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", shown(&path)));
            }
        }
        let output = Self {
            given: given.to_owned(),
            directory,
            own,
            _lock: lock,
        };
        if !output.is_begun() {
            // A log without its database belongs to a run that is over.
            output
                .remove_state()
                .with_context(|| format!("{text} cannot be written"))?;
        }
        Ok(output)
    }

    /// Whether an earlier process left an unfinished run.
    pub(crate) fn is_begun(&self) -> bool {
        self.state().exists()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.beside(".db")
    }

    /// What the walk of a directory leaves out, and where it lies below that directory.
    pub(crate) fn own_below(&self, root: &Path) -> Option<(Name, Own)> {
        let below = self.directory.strip_prefix(root).ok()?;
        Some((Name::of(below), self.own.clone()))
    }

    /// Readers see the earlier manifest or the whole new one, also after a power cut.
    pub(crate) fn write(&self, lines: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let draft = self.beside(".tmp");
        let mut file = BufWriter::new(File::create(&draft)?);
        for line in lines {
            file.write_all(&line)?;
        }
        file.into_inner()?.sync_all()?;
        fs::rename(&draft, self.directory.join(&self.own.manifest))?;
        self.sync()
    }

    /// Ends the run: everything before this can be gone through again, nothing is left after it.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.remove_state()?;
        fs::remove_file(self.beside(".db.lock"))
    }

    /// The database goes first and for good: from then on the rest is nobody's.
    fn remove_state(&self) -> io::Result<()> {
        remove(&self.state())?;
        self.sync()?;
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let is_lock = name == with_suffix(&self.own.manifest, ".db.lock");
            if self.own.has(&name) && !is_lock && name != self.own.manifest {
                remove(&self.directory.join(name))?;
            }
        }
        Ok(())
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        self.directory.join(with_suffix(&self.own.manifest, suffix))
    }

    /// Makes names durable, where a directory can be synced.
    fn sync(&self) -> io::Result<()> {
        match cfg!(unix) {
            true => File::open(&self.directory)?.sync_all(),
            false => Ok(()),
        }
    }
}

fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
