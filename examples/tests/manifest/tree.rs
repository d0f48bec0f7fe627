//! A tree of awkward files, and what `sha256sum` says about it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory that is given to the example, relative to the scratch folder.
pub(crate) const ROOT: &str = "tree";

/// Arguments of one `sha256sum`, at most.
const AT_ONCE: usize = 500;

/// Makes `files` files in nested folders; the first few have names that need care.
pub(crate) fn grow(scratch: &Path, files: usize, rng: &mut fastrand::Rng) {
    for number in 0..files {
        let folder = scratch.join(ROOT).join(folder(number));
        fs::create_dir_all(&folder).unwrap();
        let size = match number {
            0 => 3_000_000,
            n if n % 7 == 1 => 0,
            _ => rng.usize(1..4_000),
        };
        let byte = rng.u8(..);
        let mut content = format!("{number} ").into_bytes();
        content.resize(size, byte);
        fs::write(folder.join(name(number)), content).unwrap();
    }
    std::os::unix::fs::symlink("9.txt", scratch.join(ROOT).join("link")).unwrap();
    fs::create_dir_all(scratch.join(ROOT).join("no files")).unwrap();
}

/// Some of them sort differently as paths than as names.
fn folder(number: usize) -> String {
    match number % 5 {
        0 => "a".to_owned(),
        1 => "a/b c".to_owned(),
        2 => "a.d".to_owned(),
        3 => format!("deep/er/{}", number % 11),
        _ => String::new(),
    }
}

fn name(number: usize) -> OsString {
    let bytes: &[u8] = match number {
        2 => b"new\nline",
        3 => b"back\\slash",
        4 => b" two  spaces ",
        5 => "gr\u{f6}\u{df}e %41".as_bytes(),
        6 => b"-dash*?'\"",
        7 => b"carriage\rreturn",
        // Other systems refuse it.
        8 if cfg!(target_os = "linux") => b"not utf-8 \xff\xfe",
        number => return format!("{number}.txt").into(),
    };
    OsString::from_vec(bytes.to_vec())
}

/// The regular files below `root`, paths relative to the scratch folder, sorted by their bytes.
fn files(scratch: &Path) -> Vec<PathBuf> {
    let (mut files, mut open) = (Vec::new(), vec![PathBuf::from(ROOT)]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(scratch.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (folder.join(entry.file_name()), entry.file_type().unwrap());
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                files.push(path);
            }
        }
    }
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    files.sort_by_cached_key(|path| bytes(path));
    files
}

pub(crate) fn has_sha256sum() -> bool {
    Command::new("sha256sum").arg("--version").output().is_ok()
}

/// What `sha256sum` prints for all files but those named `without`.
pub(crate) fn sums(scratch: &Path, without: &[&str]) -> Vec<u8> {
    let files: Vec<PathBuf> = files(scratch)
        .into_iter()
        .filter(|it| {
            !without
                .iter()
                .any(|name| it.file_name() == Some(OsStr::new(name)))
        })
        .collect();
    let mut sums = Vec::new();
    for some in files.chunks(AT_ONCE) {
        let mut command = Command::new("sha256sum");
        let output = command.arg("--").args(some).current_dir(scratch).output();
        sums.extend(output.unwrap().stdout);
    }
    sums
}

pub(crate) fn check(scratch: &Path, manifest: &str) {
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--quiet", manifest]);
    let status = command.current_dir(scratch).status().unwrap();
    assert!(status.success(), "sha256sum refuses {manifest}");
}
