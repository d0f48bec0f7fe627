//! What the published crates would contain. The runtime embeds its migrations through a symlink, and a
//! package without the SQL would fail only at its users'.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::cargo;
use crate::step::{Outcome, Step};
use crate::workspace::Workspace;

const RUNTIME: &str = "chrono-forge-runtime";

pub(crate) fn steps(workspace: &Workspace, verify: bool) -> Vec<Step> {
    let published: Vec<&str> = workspace
        .packages
        .iter()
        .filter(|it| it.is_published())
        .map(|it| it.name.as_str())
        .collect();
    let mut steps: Vec<Step> = published.iter().map(|name| list(name)).collect();
    if verify {
        let packages = published.iter().flat_map(|name| ["--package", name]);
        let arguments: Vec<&str> = ["package", "--allow-dirty"]
            .into_iter()
            .chain(packages)
            .collect();
        steps.push(Step::cargo("package, built as published", &arguments));
    }
    steps
}

fn list(name: &str) -> Step {
    let package = name.to_owned();
    Step::new(format!("package, {name}"), move || {
        let text = cargo::output(&["package", "--package", &package, "--list", "--allow-dirty"])?;
        let files: Vec<&str> = text.lines().collect();
        println!("{} files", files.len());
        if package == RUNTIME {
            check_migrations(&files)
        } else {
            Ok(Outcome::Passed)
        }
    })
}

fn check_migrations(packaged: &[&str]) -> Result<Outcome> {
    let root = cargo::root();
    if !root.join("migrations").exists() {
        return Ok(Outcome::Skipped("there are no migrations yet".to_owned()));
    }
    let expected = sql_files(&root, "migrations")?;
    let missing: Vec<&String> = expected
        .iter()
        .filter(|path| !packaged.contains(&path.as_str()))
        .collect();
    ensure!(
        missing.is_empty(),
        "the packaged runtime lacks {missing:?}: is chrono-forge-runtime/migrations still a link to ../migrations?"
    );
    println!("{} migration scripts are among them", expected.len());
    Ok(Outcome::Passed)
}

/// The SQL files in a folder of the root, as paths from the root with `/`.
fn sql_files(root: &Path, folder: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).with_context(|| format!("cannot list {folder}"))? {
        let entry = entry?;
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            found.extend(sql_files(root, &path)?);
        } else if path.ends_with(".sql") {
            found.push(path);
        }
    }
    Ok(found)
}
