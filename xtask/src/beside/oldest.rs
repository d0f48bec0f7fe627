//! The SQLite suites of the runtime with the oldest `libsqlite3-sys` that it takes. The workspace's lock file has the
//! newest, so the workspace is laid out a second time, by links, beside a lock file that has the oldest.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cargo;
use crate::step::{Outcome, Step};
use crate::workspace::Workspace;

const LIBRARY: &str = "libsqlite3-sys";
/// As in the workspace's manifest, whose range begins there.
const OLDEST: &str = "0.30.1";
/// What the tests look at rows with, of the time of that library.
const BESIDE_IT: (&str, &str) = ("rusqlite", "0.32.1");

pub(crate) fn steps(workspace: &Workspace) -> Vec<Step> {
    let name = format!("tests, SQLite of {LIBRARY} {OLDEST}");
    let target = workspace.target_directory.clone();
    vec![Step::new(name, move || test(&target))]
}

fn test(target: &Path) -> Result<Outcome> {
    let folder = target.join("xtask-oldest");
    lay_out(&folder)?;
    let manifest = folder.join("Cargo.toml").to_string_lossy().into_owned();
    let target = target.to_string_lossy().into_owned();
    // The target folder is the house's: what does not depend on SQLite is there already.
    let run = |arguments: &[&str]| {
        let arguments = [arguments, &["--manifest-path", &manifest]].concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        cargo::run_with(&arguments, &[("CARGO_TARGET_DIR", &*target)])
    };
    for (package, version) in [BESIDE_IT, (LIBRARY, OLDEST)] {
        run(&["update", "--package", package, "--precise", version])?;
    }
    run(&["test", "--package", "chrono-forge-runtime", "--lib"])
}

/// The root's files are copied, so that the lock file may differ; its folders are the same ones.
fn lay_out(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(cargo::root())? {
        let entry = entry?;
        let name = entry.file_name();
        let (from, to) = (entry.path(), folder.join(&name));
        let is_hidden = name.to_string_lossy().starts_with('.');
        if entry.file_type()?.is_file() {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        } else if !is_hidden && name != "target" && !to.is_symlink() {
            link(&from, &to).with_context(|| format!("cannot link {}", to.display()))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_dir(from, to)
}
