//! One format for all packages, and for the programs that are none of the workspace's.

use crate::beside;
use crate::step::Step;

pub(crate) fn steps(check: bool) -> Vec<Step> {
    let check: &[&str] = if check { &["--check"] } else { &[] };
    let mut steps = vec![Step::cargo("format", &[&["fmt", "--all"], check].concat())];
    steps.extend(beside::manifests().iter().map(|(program, manifest)| {
        let arguments = ["fmt", "--manifest-path", manifest];
        Step::cargo(
            format!("format, beside {program}"),
            &[&arguments[..], check].concat(),
        )
    }));
    steps
}
