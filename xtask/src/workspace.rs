//! What cargo knows of the workspace: packages, their features and targets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::cargo;

#[derive(Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    features: BTreeMap<String, Vec<String>>,
    /// Null: to any registry. Empty: to none.
    publish: Option<Vec<String>>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    #[serde(default, rename = "required-features")]
    pub(crate) required_features: Vec<String>,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let text = cargo::output(&["metadata", "--no-deps", "--format-version", "1"])?;
        serde_json::from_str(&text).context("cannot read cargo's metadata")
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|it| it.name == name)
    }
}

impl Package {
    pub(crate) fn has_feature(&self, name: &str) -> bool {
        self.features.contains_key(name)
    }

    pub(crate) fn is_published(&self) -> bool {
        self.publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty())
    }
}
