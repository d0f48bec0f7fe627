//! Programs that use another SQLite crate and this one, each with a lock file of its own; and the suites of the
//! SQLite store with the oldest library that may be linked.

mod oldest;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo;
use crate::step::{Outcome, Step};
use crate::workspace::Workspace;

const FOLDER: &str = "beside";

/// All of them, built and run.
pub(crate) fn steps(workspace: &Workspace) -> Vec<Step> {
    let mut steps: Vec<Step> = programs()
        .into_iter()
        .map(|program| run(workspace, program))
        .collect();
    steps.extend(oldest::steps(workspace));
    steps
}

/// What CI has the time for: that each lock file holds. To compile them takes minutes.
pub(crate) fn some() -> Vec<Step> {
    programs().iter().map(|program| resolve(program)).collect()
}

/// Every package of the folder, by name.
fn programs() -> Vec<String> {
    let entries = fs::read_dir(cargo::root().join(FOLDER));
    let folders = entries.into_iter().flatten().flatten();
    let packages = folders.filter(|it| it.path().join("Cargo.toml").is_file());
    let mut names: Vec<String> = packages
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Each program with the path of its manifest.
pub(crate) fn manifests() -> Vec<(String, String)> {
    let programs = programs().into_iter();
    programs
        .map(|program| {
            let manifest = manifest(&program);
            (program, manifest)
        })
        .collect()
}

fn manifest(program: &str) -> String {
    format!("{FOLDER}/{program}/Cargo.toml")
}

fn resolve(program: &str) -> Step {
    let manifest = manifest(program);
    Step::new(format!("beside {program}, versions"), move || {
        let arguments = ["tree", "--locked", "--manifest-path", &manifest];
        let tree = cargo::output(&[&arguments[..], &["-i", "libsqlite3-sys"]].concat())?;
        println!("{}", tree.lines().next().unwrap_or_default());
        Ok(Outcome::Passed)
    })
}

fn run(workspace: &Workspace, program: String) -> Step {
    let target = workspace.target_directory.join("xtask-beside");
    Step::new(format!("beside {program}"), move || {
        let built = build(&program, &target)?;
        run_in_an_empty_folder(&built, &target.join("folders").join(&program))
    })
}

/// One target folder for all: they share most of what they compile.
fn build(program: &str, target: &Path) -> Result<PathBuf> {
    let manifest = manifest(program);
    let target_directory = target.to_string_lossy();
    let arguments = ["build", "--locked", "--manifest-path", &manifest];
    let arguments = [&arguments[..], &["--target-dir", &target_directory]].concat();
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    cargo::run(&arguments)?;
    let name = program.split('-').next().unwrap_or_default();
    let file = format!("beside-{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(target.join("debug").join(file))
}

fn run_in_an_empty_folder(program: &Path, folder: &Path) -> Result<Outcome> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder)?;
    println!("$ {}", program.display());
    let status = Command::new(program)
        .current_dir(folder)
        .status()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(
        status.success(),
        "{} ended with {status}",
        program.display()
    );
    Ok(Outcome::Passed)
}

#[test]
fn each_program_has_a_lock_file_and_a_row_on_the_page() -> Result<()> {
    let folder = cargo::root().join(FOLDER);
    let page = fs::read_to_string(folder.join("README.md"))?;
    let programs = programs();
    assert!(!programs.is_empty());
    for program in programs {
        assert!(
            folder.join(&program).join("Cargo.lock").is_file(),
            "{program}"
        );
        assert!(page.contains(&format!("| [`{program}`](")), "{program}");
    }
    Ok(())
}
