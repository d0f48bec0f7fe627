//! Why a file cannot be opened or written. SQLite names neither the path nor what helps, so the file system is asked
//! after it has failed.

mod rights;

use std::fs::{FileType, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;

use self::rights::{Right, may, user};
use super::log;
use crate::error::{StoreError, StoreErrorKind};
use crate::store::StoreResult;

/// The error of a call on this file, with the path and, as far as it can be seen, the reason and what helps.
pub(super) fn explained(path: &Path, error: StoreError) -> StoreError {
    let has_told = error.message.contains(&*path.to_string_lossy());
    let obstacle = match is_of_the_file_system(&error) {
        true => obstacle(path),
        false => None,
    };
    match obstacle {
        Some(obstacle) => refusal(error.operation, path, &obstacle),
        None if has_told => error,
        None => {
            let hint = hint(&error);
            let message = format!("{}: {}{hint}", path.display(), error.message);
            StoreError::new(error.operation, error.kind, message)
        }
    }
}

/// Refuses an existing file that a worker (`executes`) may not write, before SQLite opens it.
/// SQLite opens a file that is read-only all the same, and the log beside it only once it writes;
/// and as it closes that, it may delete the log that was in the way, so that nobody could tell why
/// it failed.
pub(super) fn ensure_writable(path: &Path, executes: bool) -> StoreResult<()> {
    match of_a_file(path) {
        Some(obstacle) if executes && path.is_file() => Err(refusal("open", path, &obstacle)),
        _ => Ok(()),
    }
}

fn refusal(operation: &'static str, path: &Path, obstacle: &str) -> StoreError {
    let message = format!("cannot open `{}`: {obstacle}", path.display());
    StoreError::new(operation, StoreErrorKind::Access, message)
}

/// Whether it may come from where the file is and whose it is. An I/O error is also what SQLite makes of a device.
fn is_of_the_file_system(error: &StoreError) -> bool {
    error.kind == StoreErrorKind::Access || error.message.contains("disk I/O error")
}

/// What else it can be where nothing is in the way.
fn hint(error: &StoreError) -> &'static str {
    match error.kind {
        StoreErrorKind::Access if error.message.contains("unable to open") => {
            "; the path and the rights look right: has this process too many files open (`ulimit -n`)?"
        }
        StoreErrorKind::Corrupt if error.message.contains("not a database") => {
            "; it was written by something else, or is encrypted: name another file, or move this one away"
        }
        _ => "",
    }
}

fn obstacle(path: &Path) -> Option<String> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let inside = path.join("forge.db");
            Some(format!(
                "it is a folder; name a file in it, as `sqlite://{}`",
                inside.display()
            ))
        }
        Ok(found) if !found.is_file() => {
            let what = sort(&found);
            Some(format!(
                "it is {what}, not a file; name a file on a local disk"
            ))
        }
        Ok(_) => of_a_file(path),
        Err(error) => of_no_file(path, &error),
    }
}

fn of_a_file(path: &Path) -> Option<String> {
    if !may(path, Right::Read) {
        return Some(format!(
            "the file may not be read by {}; change its owner or its mode",
            user()
        ));
    }
    let beside = [log::path_of(path), log::beside(path, "-shm")];
    let mut beside = beside.iter().filter(|path| path.exists());
    read_only(path, "file")
        .or_else(|| beside.find_map(|path| read_only(path, "file beside it,")))
        .or_else(|| path.parent().and_then(of_a_folder))
}

fn of_no_file(path: &Path, error: &io::Error) -> Option<String> {
    if std::fs::symlink_metadata(path).is_ok() {
        return Some(format!(
            "it is a link to a place that cannot be found ({error}); make the folder that it leads to, or name \
             another file"
        ));
    }
    // From the root down: the first one that is in the way.
    let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
    folders.reverse();
    for folder in folders {
        match std::fs::metadata(folder) {
            Ok(found) if !found.is_dir() => {
                return Some(format!(
                    "`{}` is {}, not a folder",
                    folder.display(),
                    sort(&found)
                ));
            }
            Ok(_) if !may(folder, Right::Search) => {
                return Some(format!(
                    "the folder `{}` may not be entered by {}; change its owner or its mode, or name another one",
                    folder.display(),
                    user()
                ));
            }
            Ok(_) => {}
            Err(missing) if missing.kind() == ErrorKind::NotFound => {
                return Some(missing_folder(path, folder));
            }
            Err(error) => return Some(format!("`{}`: {error}", folder.display())),
        }
    }
    let folder = path.parent()?;
    of_a_folder(folder).or_else(|| match error.kind() {
        ErrorKind::NotFound => None,
        _ => Some(error.to_string()),
    })
}

/// The whole folder is to be made, not only the first part of it that is missing.
fn missing_folder(path: &Path, missing: &Path) -> String {
    let folder = path.parent().unwrap_or(missing).display();
    let is_home = missing.file_name().is_some_and(|name| name == "~");
    match is_home {
        true => format!(
            "the folder `{folder}` does not exist, and `~` is a name like any other here; write the path of the home \
             folder out"
        ),
        false => format!("the folder `{folder}` does not exist; create it"),
    }
}

fn of_a_folder(folder: &Path) -> Option<String> {
    let problem = read_only(folder, "folder")?;
    Some(format!(
        "{problem} (the database has a log, and each worker a lock, beside the file)"
    ))
}

fn read_only(path: &Path, what: &str) -> Option<String> {
    if may(path, Right::Write) {
        return None;
    }
    let is_mounted_so = rights::is_mounted_read_only(path);
    let (path, user) = (path.display(), user());
    Some(match is_mounted_so {
        true => format!(
            "the {what} `{path}` is on a file system that is mounted read-only; a worker has to write it"
        ),
        false => format!(
            "the {what} `{path}` is read-only for {user}; a worker has to write it: change its owner or its mode"
        ),
    })
}

fn sort(found: &Metadata) -> &'static str {
    match found.is_file() {
        true => "a file",
        false => of_unix(found.file_type()),
    }
}

#[cfg(unix)]
fn of_unix(found: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if found.is_fifo() {
        "a pipe"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn of_unix(_: FileType) -> &'static str {
    "something else"
}
