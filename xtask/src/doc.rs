//! The documentation as docs.rs would show it. Private items are left out: their links may point anywhere.

use crate::cargo;
use crate::features;
use crate::step::Step;

pub(crate) fn steps() -> Vec<Step> {
    let everything = [
        "doc",
        "--no-deps",
        "--workspace",
        "--features",
        features::ALL,
    ];
    let arguments = everything.map(str::to_owned);
    vec![Step::new("documentation", move || {
        cargo::run_with(&arguments, &[("RUSTDOCFLAGS", "-D warnings")])
    })]
}
