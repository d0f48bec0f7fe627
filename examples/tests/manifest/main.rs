//! The example `manifest` as its users meet it: a process that is stopped, killed and run again.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "this is a test")]

mod kills;
mod process;
mod tree;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use process::{OUT, hashed, recorded, run, signal, start, wait_for_hashes};
use tree::{ROOT, grow};

fn scratch(files: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    grow(folder.path(), files, &mut fastrand::Rng::with_seed(1));
    folder
}

fn printed(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn ctrl_c_parks_and_the_next_run_goes_on() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let folder = scratch(300);
        let scratch = folder.path();
        // One at a time, so that it is not done before it is stopped.
        let mut process = start(scratch, &[ROOT, "--out", OUT, "--jobs", "1"]);
        assert!(wait_for_hashes(scratch, &mut process, 20));
        signal(&process, name);
        assert_eq!(process.wait().unwrap().code(), Some(code));
        assert!(!scratch.join(OUT).exists());

        let before = hashed(scratch).len();
        let output = run(scratch, &[ROOT, "--out", OUT]);
        assert!(output.status.success(), "{output:?}");
        let now = 300 - before;
        let expected = format!("{OUT}: 300 files ({now} hashed now, {before} before)\n");
        assert_eq!(printed(&output), expected);
        assert_eq!(
            names(scratch),
            ["hash.log", OUT, ROOT],
            "nothing else is left"
        );
    }
}

#[test]
fn what_failed_is_tried_again_by_the_next_run() {
    let folder = scratch(60);
    let scratch = folder.path();
    let mut process = start(scratch, &[ROOT, "--out", OUT, "--jobs", "1"]);
    assert!(wait_for_hashes(scratch, &mut process, 5));
    process.kill().unwrap();
    process.wait().unwrap();
    process::block(scratch);
    let (before, done) = (hashed(scratch).len(), recorded(scratch));
    let output = run(scratch, &[ROOT, "--out", OUT]);
    assert!(output.status.success(), "{output:?}");
    let text = printed(&output);
    assert!(text.contains("60 files"), "{text}");
    let again = "The last attempt failed in 2 places; trying those again.\n";
    assert!(text.contains(again), "{text}");
    let again = &hashed(scratch)[before..];
    assert!(again.iter().all(|file| !done.contains(file)), "{text}");
}

#[test]
fn a_finished_tree_is_taken_anew_without_its_own_files() {
    let folder = scratch(20);
    let scratch = folder.path();
    let own = format!("{ROOT}/a/m");
    let arguments = [ROOT, "--out", &own];
    assert!(run(scratch, &arguments).status.success());
    fs::write(scratch.join(ROOT).join("9.txt"), "changed").unwrap();
    fs::write(scratch.join(ROOT).join("a/m.dbx"), "not its own").unwrap();
    let output = run(scratch, &arguments);
    assert_eq!(
        printed(&output),
        format!("{own}: 21 files (21 hashed now, 0 before)\n")
    );
    if tree::has_sha256sum() {
        let manifest = fs::read(scratch.join(&own)).unwrap();
        assert_eq!(manifest, tree::sums(scratch, &["m"]));
    } else {
        eprintln!("skipped the comparison of a_finished_tree_is_taken_anew: no sha256sum");
    }
}

#[test]
fn an_unfinished_run_left_in_the_tree_is_not_in_the_manifest() {
    let folder = scratch(300);
    let scratch = folder.path();
    let own = format!("{ROOT}/{OUT}");
    let mut process = start(scratch, &[ROOT, "--out", &own, "--jobs", "1"]);
    assert!(wait_for_hashes(scratch, &mut process, 5));
    process.kill().unwrap();
    process.wait().unwrap();
    let other = run(scratch, &[&format!("{ROOT}/a"), "--out", &own]);
    assert_eq!(other.status.code(), Some(2));
    assert!(printed(&other).contains("unfinished run over"), "{other:?}");
    assert!(run(scratch, &[ROOT, "--out", &own]).status.success());
    let manifest = fs::read(scratch.join(&own)).unwrap();
    let manifest = String::from_utf8_lossy(&manifest);
    assert_eq!(manifest.lines().count(), 300);
    assert!(!manifest.contains(&own));
}

#[test]
fn without_arguments_it_takes_the_current_directory() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    let mut command = process::command(folder.path(), &[]);
    command.env_remove("MANIFEST_HASH_LOG");
    assert!(command.status().unwrap().success());
    let manifest = fs::read_to_string(folder.path().join("MANIFEST.sha256")).unwrap();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(manifest, format!("{empty}  ./empty\n"));
}

#[test]
fn unreadable_files_and_folders_are_reported_and_the_rest_is_written() {
    let folder = scratch(20);
    let scratch = folder.path();
    let (file, inner) = (
        scratch.join(ROOT).join("9.txt"),
        scratch.join(ROOT).join("no files"),
    );
    for path in [&file, &inner] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    if fs::File::open(&file).is_ok() {
        eprintln!("skipped unreadable_files_and_folders_are_reported: root reads everything");
        return;
    }
    let output = run(scratch, &[ROOT, "--out", OUT]);
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = printed(&output);
    for expected in [
        "19 files",
        "2 could not be read",
        "tree/9.txt: Permission",
        "tree/no files: Permission",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in {text}");
    }
}

#[test]
fn bad_input_is_one_line_and_status_2() {
    let folder = scratch(10);
    let bad: [(&[&str], &str); 5] = [
        (&["missing"], "missing: No such file"),
        (&["tree/9.txt"], "tree/9.txt is not a directory"),
        (&[ROOT, "--out", "no/where"], "no/where cannot be written"),
        (&[ROOT, "--out", ROOT], "tree is a directory"),
        (
            &[ROOT, "--out", "/dev/null"],
            "/dev/null is not a regular file",
        ),
    ];
    for (arguments, expected) in bad {
        let output = run(folder.path(), arguments);
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains(expected) && text.lines().count() == 1,
            "{text}"
        );
    }
    let help = run(folder.path(), &["--help"]);
    assert!(help.status.success() && printed(&help).contains("Exit status"));
}
