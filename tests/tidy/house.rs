//! The files under inspection: everything git tracks, and what it would track once added.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, Item};

pub(crate) struct House {
    root: PathBuf,
    /// Paths below the root with `/`, sorted.
    pub(crate) files: Vec<String>,
    /// The Rust files among them, except fixtures.
    pub(crate) sources: Vec<Source>,
}

impl House {
    pub(crate) fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = listed_by_git(&root).unwrap_or_else(|| walked(&root, ""));
        // Git still lists a file that was removed without `git rm`.
        files.retain(|path| root.join(path).is_file());
        files.sort();
        let sources = files
            .iter()
            .filter(|path| path.ends_with(".rs") && !is_fixture(path))
            .map(|path| {
                let text = fs::read_to_string(root.join(path));
                Source::new(
                    path,
                    &text.unwrap_or_else(|error| panic!("{path}: {error}")),
                )
            })
            .collect();
        Self {
            root,
            files,
            sources,
        }
    }

    /// Whether another name of this file is in the list, too.
    pub(crate) fn is_link(&self, path: &str) -> bool {
        self.root.join(path).is_symlink()
    }

    /// The text of a file, if it is there.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

/// None if git or its repository is missing, as in a source archive.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let list = String::from_utf8(output.stdout).ok()?;
    Some(list.split_terminator('\0').map(str::to_owned).collect())
}

fn walked(root: &Path, folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        // A link to a folder (the runtime's `migrations`) would list its files twice.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && name != "target" && name != ".git" => {
                files.extend(walked(root, &path))
            }
            Ok(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
    files
}

/// Inputs and golden outputs of tests are data: a compile-fail case breaks rules on purpose.
pub(crate) fn is_fixture(path: &str) -> bool {
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    folders
        .split('/')
        .any(|it| matches!(it, "ui" | "expand" | "fixtures" | "golden"))
        // The suite itself, and modules that happen to have the name, are code like any other.
        && file != "main.rs"
        && !path.contains("/src/")
}

/// One Rust file.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| {
            panic!(
                "{path}:{}: not Rust: {error}; mend it, or move test data to a `fixtures` folder",
                error.span().start().line
            )
        });
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            syntax,
        }
    }

    pub(crate) fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Is the whole file compiled for tests only?
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|it| it == "tests" || it == "tests.rs")
    }

    /// The tokens that end up in a release: without items under `#[cfg(test)]`.
    pub(crate) fn shipped(&self) -> TokenStream {
        let mut syntax = self.syntax.clone();
        drop_tests(&mut syntax.items);
        syntax.into_token_stream()
    }
}

fn drop_tests(items: &mut Vec<Item>) {
    items.retain(|item| !attributes(item).iter().any(is_cfg_test));
    for item in items {
        if let Item::Mod(module) = item
            && let Some((_, items)) = &mut module.content
        {
            drop_tests(items);
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    let text = attribute
        .meta
        .to_token_stream()
        .to_string()
        .replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

#[test]
fn what_only_tests_compile_is_not_shipped() {
    let text =
        "#[cfg(test)] use a::B;\nmod m { #[cfg(test)] mod tests { use c::D; } fn kept() {} }";
    let shipped = Source::new("x.rs", text).shipped().to_string();
    assert!(
        shipped.contains("kept") && !shipped.contains("use"),
        "{shipped}"
    );
}

#[test]
fn fixtures_are_told_from_the_suite_that_reads_them() {
    assert!(is_fixture("tests/ui/step/fail/no_key.rs"));
    assert!(!is_fixture("tests/ui/main.rs"));
    assert!(!is_fixture("chrono-forge-macros/src/expand/body.rs"));
}

#[test]
fn the_walk_finds_what_git_lists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert!(walked(&root, "").contains(&"tests/tidy/house.rs".to_owned()));
}
