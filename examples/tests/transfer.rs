//! The example `transfer` on what must not be moved silently.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use chrono_forge::prelude::*;

#[workflow]
async fn parked() -> Result<()> {
    continue_if!("never", { Ok(false) })
        .await
        .map_err(Into::into)
}

async fn database(folder: &Path, name: &str, runs: u32) {
    let url = format!("sqlite://{}", folder.join(name).display());
    let forge = Forge::builder(&url).worker(false).open().await.unwrap();
    for run in 0..runs {
        forge.start(&run.to_string(), parked()).await.unwrap();
    }
    forge.shutdown().await;
}

/// What it says, and whether it went well.
fn transfer(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(Path::parent).unwrap();
    let example = example.join("examples").join("transfer");
    assert!(
        example.exists(),
        "not built: cargo build -p chrono-forge-examples --examples"
    );
    let output = Command::new(example)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(told).unwrap())
}

#[tokio::test]
async fn a_file_that_is_there_is_not_taken_for_an_export_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    database(folder, "old.db", 3).await;
    let way = ["sqlite://old.db", "sqlite://new.db"];
    let (done, told) = transfer(folder, &way);
    assert!(
        done && told.contains("3 runs with 0 records imported, 0 were there"),
        "{told}"
    );

    let (done, told) = transfer(folder, &way);
    assert!(
        !done && told.contains("runs.jsonl is there already: `--resume`"),
        "{told}"
    );
    let (done, told) = transfer(folder, &[&way[..], &["--resume"]].concat());
    assert!(
        done && told.contains("0 runs with 0 records imported, 3 were there"),
        "{told}"
    );

    let text = fs::read_to_string(folder.join("runs.jsonl")).unwrap();
    fs::write(folder.join("torn.jsonl"), &text[..text.len() / 2]).unwrap();
    let (done, told) = transfer(
        folder,
        &[&way[..], &["--resume", "--file", "torn.jsonl"]].concat(),
    );
    assert!(
        !done && told.contains("import the file as it was exported") | told.contains("was cut off"),
        "{told}"
    );
}

#[tokio::test]
async fn a_database_without_runs_is_a_wrong_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    database(folder, "old.db", 0).await;
    let names = [
        ("sqlite://old.db", "has no runs: is it the right one?"),
        ("sqlite://odl.db", "there is no file odl.db"),
        ("odl.db", "there is no file odl.db"),
    ];
    for (name, why) in names {
        let (done, told) = transfer(folder, &[name, "sqlite://new.db"]);
        assert!(!done && told.contains(why), "{told}");
    }
    for file in ["runs.jsonl", "new.db", "odl.db"] {
        assert!(!folder.join(file).exists(), "{file}");
    }
    let (done, told) = transfer(folder, &["sqlite://old.db", "sqlite://new.db", "--resume"]);
    assert!(!done && told.contains("cannot read runs.jsonl"), "{told}");
}
