//! Each feature alone. A build of the whole workspace unites the features of all packages and so hides
//! code that compiles only together.

use std::fmt;

use crate::server;
use crate::step::Step;
use crate::workspace::{Package, Workspace};

const PACKAGES: [&str; 2] = ["chrono-forge-runtime", "chrono-forge"];
/// Each is a database; a package that does not declare one is left out.
const STORES: [&str; 2] = ["sqlite", "postgres"];

/// Every feature of every package, but the one that builds libpq itself: that takes minutes, and none of our
/// code is behind it.
pub(crate) const ALL: &str = "sqlite,postgres,testing";

pub(crate) fn steps(workspace: &Workspace) -> Vec<Step> {
    let bare = ["check", "--package", PACKAGES[0], "--no-default-features"];
    let mut steps = vec![Step::cargo(
        "check, chrono-forge-runtime without features",
        &bare,
    )];
    steps.extend(sets(workspace).iter().map(check));
    steps.extend(
        PACKAGES
            .iter()
            .filter_map(|name| undeclared(workspace, name)),
    );
    steps
}

/// The library without its tests: their dependencies would lend it features.
fn check(set: &FeatureSet) -> Step {
    set.step("check", &["check", "--package", &set.package], &[])
}

/// A combination of features that users choose.
pub(crate) struct FeatureSet {
    pub(crate) package: String,
    pub(crate) features: Vec<&'static str>,
}

impl fmt::Display for FeatureSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} with only {}",
            self.package,
            self.features.join(" and ")
        )
    }
}

impl FeatureSet {
    /// A step that is this cargo command with these features and no others.
    pub(crate) fn step(&self, what: &str, command: &[&str], after: &[&str]) -> Step {
        let features = self.features.join(",");
        let only = ["--no-default-features", "--features", &features];
        let arguments = [command, &only, after].concat();
        let name = format!("{what}, {self}");
        if self.features.contains(&"postgres") {
            return server::with_library(name, &arguments);
        }
        Step::cargo(name, &arguments)
    }
}

/// Each store alone, and with `testing` where a package has it.
pub(crate) fn sets(workspace: &Workspace) -> Vec<FeatureSet> {
    let packages = PACKAGES.iter().filter_map(|name| workspace.package(name));
    packages.flat_map(sets_of).collect()
}

fn sets_of(package: &Package) -> Vec<FeatureSet> {
    let mut sets = Vec::new();
    for store in STORES
        .into_iter()
        .filter(|store| package.has_feature(store))
    {
        sets.push(FeatureSet {
            package: package.name.clone(),
            features: vec![store],
        });
        if package.has_feature("testing") {
            sets.push(FeatureSet {
                package: package.name.clone(),
                features: vec![store, "testing"],
            });
        }
    }
    sets
}

fn undeclared(workspace: &Workspace, name: &str) -> Option<Step> {
    let is_declared = workspace
        .package(name)
        .is_some_and(|it| !sets_of(it).is_empty());
    (!is_declared).then(|| {
        Step::skipped(
            format!("check, {name}"),
            "it declares no store's feature yet",
        )
    })
}
