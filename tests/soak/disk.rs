//! A small disk of the test's own, to be filled.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A folder; on a file system of its own where this process may mount one. Gone with this value.
pub(crate) struct Disk {
    folder: TempDir,
    is_mounted: bool,
}

impl Disk {
    /// A disk of so many megabytes, or a plain folder with the reason told.
    pub(crate) fn new(test: &str, megabytes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(folder.path())
            .output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        if !is_mounted {
            eprintln!("skipped: {test}, its full disk: only root can mount a small one");
        }
        Self { folder, is_mounted }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether filling it harms nobody else.
    pub(crate) fn can_be_filled(&self) -> bool {
        self.is_mounted
    }

    /// Takes all that is left until the value is dropped.
    pub(crate) fn fill(&self) -> Full {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        let block = vec![0_u8; 64 * 1024];
        while file.write_all(&block).is_ok() {}
        // What a whole block has no room for.
        while file.write_all(&block[..64]).is_ok() {}
        Full { path }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // A process that is just ending may still have a file open: lazily, then.
            let _ = Command::new("umount")
                .arg("-l")
                .arg(self.folder.path())
                .output();
        }
    }
}

/// A disk without room.
pub(crate) struct Full {
    path: PathBuf,
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
