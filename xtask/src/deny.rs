//! The dependency policy of `deny.toml`, as far as it needs no network.

use crate::cargo;
use crate::step::Step;

pub(crate) fn step() -> Step {
    let name = "dependency policy";
    if cargo::has("deny") {
        Step::cargo(name, &["deny", "check", "bans", "licenses", "sources"])
    } else {
        Step::skipped(name, "cargo-deny is not installed")
    }
}
