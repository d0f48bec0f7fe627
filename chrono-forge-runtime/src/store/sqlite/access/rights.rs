//! What this process may do with a path, by the system's own judgement: owner, group, lists, capabilities, mounts.

use std::path::Path;

#[derive(Clone, Copy)]
pub(super) enum Right {
    Read,
    Write,
    /// To find what is in a folder.
    Search,
}

/// Whether it may. What cannot be asked is taken for granted.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn may(path: &Path, right: Right) -> bool {
    use rustix::io::Errno;
    !matches!(
        asked(path, right),
        Err(Errno::ACCESS | Errno::ROFS | Errno::PERM)
    )
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn asked(path: &Path, right: Right) -> rustix::io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let access = match right {
        Right::Read => Access::READ_OK,
        Right::Write => Access::WRITE_OK,
        Right::Search => Access::EXEC_OK,
    };
    // As whoever this process acts for, which is not always who started it.
    match accessat(CWD, path, access, AtFlags::EACCESS) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            accessat(CWD, path, access, AtFlags::empty())
        }
        asked => asked,
    }
}

/// Whether nobody may write there.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn is_mounted_read_only(path: &Path) -> bool {
    asked(path, Right::Write) == Err(rustix::io::Errno::ROFS)
}

/// Who this process is to the file system.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn user() -> String {
    format!("uid {}", rustix::process::geteuid().as_raw())
}

/// Elsewhere only what is marked as read-only is known.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn may(path: &Path, right: Right) -> bool {
    match right {
        Right::Read | Right::Search => true,
        Right::Write => std::fs::metadata(path).map_or(true, |it| !it.permissions().readonly()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn is_mounted_read_only(_: &Path) -> bool {
    false
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn user() -> String {
    "this user".to_owned()
}
