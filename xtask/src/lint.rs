//! Clippy with warnings denied. The flag goes to clippy alone, so that the dependencies are compiled once
//! for all steps.

use crate::features::{self, FeatureSet};
use crate::server;
use crate::step::Step;
use crate::workspace::Workspace;

const DENY: [&str; 3] = ["--", "-D", "warnings"];

pub(crate) fn steps(workspace: &Workspace) -> Vec<Step> {
    let everything = ["clippy", "--workspace", "--all-targets", "--features"];
    let mut steps = vec![server::with_library(
        "clippy, all features",
        &[&everything[..], &[features::ALL], &DENY].concat(),
    )];
    steps.extend(features::sets(workspace).iter().map(alone));
    steps.push(crate::deny::step());
    steps
}

/// Code behind one feature must not lean on another.
fn alone(set: &FeatureSet) -> Step {
    let command = ["clippy", "--package", &set.package, "--all-targets"];
    set.step("clippy", &command, &DENY)
}
