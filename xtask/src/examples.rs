//! Runs the examples: what a reader tries first must work.
//!
//! The table of examples/README.md says which ones run to their end by themselves, cargo says which exist.
//! Each gets an empty folder, so that its database leaves no trace and meets none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo;
use crate::manifest_example;
use crate::step::{Outcome, Step};
use crate::workspace::{Target, Workspace};

const PACKAGE: &str = "chrono-forge-examples";
const PAGE: &str = "examples/README.md";

pub(crate) fn steps(workspace: &Workspace, seconds: u64) -> Vec<Step> {
    let programs = programs(workspace);
    let page = fs::read_to_string(cargo::root().join(PAGE)).unwrap_or_default();
    let listed = listed(&page);
    if programs.is_empty() && listed.is_empty() {
        return vec![Step::skipped("examples", "there are none yet")];
    }
    let mut steps = vec![Step::cargo(
        "examples, build",
        &["build", "--package", PACKAGE, "--bins", "--examples"],
    )];
    for name in &listed {
        let step = format!("example {name}");
        steps.push(match programs.iter().find(|it| it.name == *name) {
            Some(program) if program.needs_more => {
                Step::skipped(step, "it needs a server: the tests of the examples run it")
            }
            Some(program) => {
                let (program, limit) = (program.clone(), Duration::from_secs(seconds));
                Step::new(step, move || run(&program, limit))
            }
            None => Step::skipped(step, format!("{PAGE} lists it, but it is not there yet")),
        });
    }
    let unlisted = programs.iter().filter(|it| !listed.contains(&it.name));
    steps.extend(unlisted.map(|it| {
        Step::skipped(
            format!("example {}", it.name),
            format!("{PAGE} does not list it"),
        )
    }));
    steps
}

#[derive(Clone)]
struct Program {
    name: String,
    path: PathBuf,
    /// More than the default features; then it is not built here.
    needs_more: bool,
    /// Where its folder is made.
    scratch: PathBuf,
}

fn programs(workspace: &Workspace) -> Vec<Program> {
    let built = workspace.target_directory.join("debug");
    let scratch = workspace.target_directory.join("xtask-examples");
    let folder = |target: &Target| match target.kind.first().map(String::as_str) {
        Some("bin") => Some(built.clone()),
        Some("example") => Some(built.join("examples")),
        _ => None,
    };
    let targets = workspace
        .package(PACKAGE)
        .map(|it| it.targets.as_slice())
        .unwrap_or_default();
    targets
        .iter()
        .filter_map(|target| {
            let file = format!("{}{}", target.name, std::env::consts::EXE_SUFFIX);
            Some(Program {
                name: target.name.clone(),
                path: folder(target)?.join(file),
                needs_more: !target.required_features.is_empty(),
                scratch: scratch.clone(),
            })
        })
        .collect()
}

/// The names in the first column of the table under the heading cell "example": `| [`hello`](hello.rs) | .. |`.
fn listed(page: &str) -> Vec<String> {
    let first_cell = |line: &str| {
        line.trim()
            .strip_prefix('|')?
            .split('|')
            .next()
            .map(str::to_owned)
    };
    let is_heading =
        |line: &&str| first_cell(line).is_some_and(|it| it.trim().eq_ignore_ascii_case("example"));
    let rows = page
        .lines()
        .skip_while(|line| !is_heading(line))
        .skip(2)
        .map_while(first_cell);
    rows.filter_map(|cell| {
        let is_name = |it: char| it.is_alphanumeric() || it == '_' || it == '-';
        let words = cell.split(|it| !is_name(it));
        words.filter(|it| !it.is_empty()).map(str::to_owned).next()
    })
    .collect()
}

fn run(program: &Program, limit: Duration) -> Result<Outcome> {
    let folder = program.scratch.join(&program.name);
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let is_manifest = program.name == manifest_example::NAME;
    let arguments = if is_manifest {
        manifest_example::prepare(&folder)?
    } else {
        Vec::new()
    };
    run_within(program, &arguments, &folder, limit)?;
    if is_manifest {
        manifest_example::verify(&folder)?;
    }
    Ok(Outcome::Passed)
}

fn run_within(
    program: &Program,
    arguments: &[String],
    folder: &Path,
    limit: Duration,
) -> Result<()> {
    let Program { name, path, .. } = program;
    println!("$ {} {}", path.display(), arguments.join(" "));
    let mut child = Command::new(path)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", path.display()))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "{name} ended with {status}");
            return Ok(());
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("{name} still ran after {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_up_to_its_end() {
        let page = "# Examples\n| other |\n|---|\n| no |\n\n| Example | teaches |\n|---|---|\n\
                    | [`hello`](hello.rs) | a step |\n| fan_out | many |\n\n| x |\n|---|\n| y |";
        assert_eq!(listed(page), ["hello", "fan_out"]);
        assert!(listed("no table").is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_hangs_is_stopped_and_one_that_fails_fails() {
        let program = |path: &str| Program {
            name: "it".to_owned(),
            path: path.into(),
            needs_more: false,
            scratch: PathBuf::new(),
        };
        let run = |path, arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
            run_within(
                &program(path),
                &arguments,
                Path::new("/"),
                Duration::from_millis(100),
            )
        };
        assert!(
            run("/bin/sleep", &["60"])
                .unwrap_err()
                .to_string()
                .contains("still ran")
        );
        assert!(run("/bin/sh", &["-c", "exit 3"]).is_err());
        assert!(run("/bin/sh", &["-c", "exit 0"]).is_ok());
    }
}
