//! The README's program: what it says of itself, tried.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first block of Rust on a page.
fn first_program(page: &str) -> &str {
    let (_, rest) = page.split_once("```rust").unwrap();
    let (_, program) = rest.split_once('\n').unwrap();
    program.split_once("```").unwrap().0
}

#[test]
fn the_readme_shows_the_example_to_the_letter() {
    let page = fs::read_to_string(root().join("README.md")).unwrap();
    let example = fs::read_to_string(root().join("examples/invoice.rs")).unwrap();
    let at = example.find("use chrono_forge").unwrap();
    assert_eq!(first_program(&page), &example[at..]);
}

fn begin(folder: &Path) -> Child {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(Path::parent).unwrap();
    let example = example.join("examples").join("invoice");
    assert!(
        example.exists(),
        "not built: cargo build -p chrono-forge-examples --examples"
    );
    let mut command = Command::new(example);
    command.current_dir(folder).stdout(Stdio::piped());
    command.spawn().unwrap()
}

fn runs_to_its_end(folder: &Path) -> String {
    let output = begin(folder).wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const SENT: &str = "sending ada an invoice of 4200 cents\n";
const RESULT: &str = "2026-11-ada: 4200 cents\n";

#[test]
fn killed_while_it_waits_and_run_again_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = begin(folder.path());
    let mut line = String::new();
    let mut told = BufReader::new(first.stdout.take().unwrap());
    told.read_line(&mut line).unwrap();
    assert!(line.starts_with("adding up"), "{line}");
    // The wait is on record with the step before it, at the latest a commit later.
    let file = folder.path().join("invoices.db");
    await_row(&file, "wait$settlement");
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(runs_to_its_end(folder.path()), format!("{SENT}{RESULT}"));
    assert_eq!(runs_to_its_end(folder.path()), RESULT);
}

fn await_row(file: &Path, name: &str) {
    let conn = rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT count(*) FROM chrono_forge_execution_logs WHERE step_name = ?";
    for _ in 0..5_000 {
        let found: Result<i64, _> = conn.query_row(sql, [name], |row| row.get(0));
        if found.is_ok_and(|count| count > 0) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("{name} is not on record");
}
