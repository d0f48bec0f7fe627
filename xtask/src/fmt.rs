//! One format for all packages.

use crate::step::Step;

pub(crate) fn steps(check: bool) -> Vec<Step> {
    let arguments: &[&str] = if check {
        &["fmt", "--all", "--check"]
    } else {
        &["fmt", "--all"]
    };
    vec![Step::cargo("format", arguments)]
}
