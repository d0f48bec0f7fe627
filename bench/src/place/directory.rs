//! The directory of database files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The directory asked for, else one beside this executable, which is under the target directory.
pub fn resolve(asked: Option<&Path>) -> Result<PathBuf> {
    let dir = match asked {
        Some(dir) => dir.to_owned(),
        None => std::env::current_exe()?
            .parent()
            .context("the executable has no directory")?
            .join("bench-data"),
    };
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let dir = dir.canonicalize()?;
    if is_in_memory(&dir) {
        eprintln!(
            "warning: {} is in memory, where a commit costs nothing; give --dir on a disk",
            dir.display()
        );
    }
    Ok(dir)
}

/// Whether this directory is on a file system without a disk; Linux only.
fn is_in_memory(dir: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    file_system(&mounts, dir).is_some_and(|kind| matches!(kind, "tmpfs" | "ramfs"))
}

/// The kind of the innermost mount that holds this directory; of two at one place the later counts.
fn file_system<'m>(mounts: &'m str, dir: &Path) -> Option<&'m str> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((Path::new(fields.next()?), fields.next()?))
        })
        .filter(|(point, _)| dir.starts_with(point))
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_tells_the_file_system() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/home/x")), Some("ext4"));
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), Some("tmpfs"));
        assert_eq!(file_system("", Path::new("/")), None);
    }
}
