//! The documentation as docs.rs would show it. Private items are left out: their links may point anywhere.

mod links;

use crate::cargo;
use crate::features;
use crate::step::Step;
use crate::workspace::Workspace;

/// What most users read, and begin to read at.
const FRONT: &str = "chrono_forge/index.html";

pub(crate) fn steps(workspace: &Workspace) -> Vec<Step> {
    let everything = [
        "doc",
        "--no-deps",
        "--workspace",
        "--features",
        features::ALL,
    ];
    let arguments = everything.map(str::to_owned);
    let folder = workspace.target_directory.join("doc");
    vec![
        Step::new("documentation", move || {
            cargo::run_with(&arguments, &[("RUSTDOCFLAGS", "-D warnings")])
        }),
        Step::new("documentation, links", move || links::check(&folder, FRONT)),
    ]
}
