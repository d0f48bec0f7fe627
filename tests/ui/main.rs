//! What the compiler says of the programs of this folder. See README.md.

#[allow(
    clippy::print_stdout,
    reason = "they are written as a user may, who has not our lints"
)]
mod programs;

use std::process::Command;

/// The release whose wording the `.stderr` files hold.
const PINNED: &str = "rustc 1.95.";

#[test]
fn mistakes_are_told_at_their_place_with_the_remedy() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(compiler)
        .arg("--version")
        .output()
        .expect("rustc runs");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with(PINNED) {
        println!(
            "skipped: the expected texts are those of {PINNED}x, this is {}",
            version.trim()
        );
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*/fail/*.rs");
}
