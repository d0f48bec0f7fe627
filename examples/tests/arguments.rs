//! An example that takes no arguments says so, instead of running as if it had understood.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::path::Path;
use std::process::Command;

#[test]
fn an_example_without_arguments_refuses_what_it_is_given() {
    let test = std::env::current_exe().unwrap();
    let examples = test.parent().and_then(Path::parent).unwrap();
    for name in ["hello", "order", "approval", "saga", "periodic"] {
        for argument in ["--help", "a.db"] {
            let example = examples.join("examples").join(name);
            assert!(
                example.exists(),
                "not built: cargo build -p chrono-forge-examples --examples"
            );
            let ended = Command::new(example).arg(argument).output().unwrap();
            let told = String::from_utf8(ended.stderr).unwrap();
            assert!(
                !ended.status.success() && told.contains("takes no arguments"),
                "{name} {argument}: {told}"
            );
        }
    }
}
