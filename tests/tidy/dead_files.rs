//! No dead files: a source that no `mod` reaches is not compiled, and its tests silently never run.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;

use crate::complaint::Complaint;
use crate::house::{House, Source};
use crate::tokens::is_punct;

pub(crate) fn check(house: &House) -> Vec<Complaint> {
    let mut complaints = check_sources(&house.sources);
    let manifest = house.read("tests/Cargo.toml").unwrap_or_default();
    complaints.extend(check_suites(&house.files, &manifest));
    complaints
}

fn check_sources(sources: &[Source]) -> Vec<Complaint> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = sources
        .iter()
        .map(|it| it.path.clone())
        .filter(|path| is_root(path))
        .collect();
    while let Some(path) = open.pop() {
        let Some(source) = sources.iter().find(|it| it.path == path) else {
            continue;
        };
        if reached.insert(path) {
            open.extend(children(source));
        }
    }
    sources
        .iter()
        .filter(|it| is_module(&it.path) && !reached.contains(&it.path))
        .map(|it| {
            Complaint::new(
                &it.path,
                1,
                "no `mod` reaches this file",
                "declare it in its parent, or delete it",
            )
        })
        .collect()
}

/// A suite is a folder of `tests/`, and cargo builds it only if the manifest names it.
fn check_suites(files: &[String], manifest: &str) -> Vec<Complaint> {
    let suites = files
        .iter()
        .filter_map(|path| path.strip_prefix("tests/"))
        .filter(|path| {
            let parts: Vec<&str> = path.split('/').collect();
            matches!(parts[..], [folder, "main.rs"] if folder != "src")
        });
    suites
        .filter(|path| !manifest.contains(&format!("\"{path}\"")))
        .map(|path| {
            let remedy = "add its `[[test]]` with name and path";
            Complaint::new(
                "tests/Cargo.toml",
                1,
                format!("the suite tests/{path} is never built"),
                remedy,
            )
        })
        .collect()
}

fn is_root(path: &str) -> bool {
    path.ends_with("src/lib.rs")
        || path.ends_with("/main.rs")
        || path
            .rsplit_once('/')
            .is_some_and(|(folder, _)| folder.ends_with("src/bin"))
}

/// Files elsewhere (examples, build scripts) are roots that cargo finds or that a manifest names.
fn is_module(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    parts.contains(&"src") || matches!(parts[..], ["tests", _, _, ..])
}

/// The paths that the `mod name;` lines of a file stand for, also those inside macros and inline modules.
fn children(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let below = if is_root(&source.path) {
        folder.to_owned()
    } else {
        format!("{folder}/{}", file.trim_end_matches(".rs"))
    };
    let mut found = Vec::new();
    find_modules(source.syntax.to_token_stream(), folder, &below, &mut found);
    found
}

fn find_modules(stream: TokenStream, beside: &str, below: &str, found: &mut Vec<String>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    for at in 0..trees.len() {
        let is_keyword = at > 0 && matches!(&trees[at - 1], TokenTree::Ident(it) if it == "mod");
        match (&trees[at], trees.get(at + 1)) {
            (TokenTree::Ident(name), after) if is_keyword && is_punct(after, ';') => {
                found.push(match path_attribute(&trees[..at]) {
                    Some(path) => format!("{beside}/{path}"),
                    None => format!("{below}/{name}.rs"),
                });
            }
            (TokenTree::Ident(name), Some(TokenTree::Group(inline))) if is_keyword => {
                find_modules(inline.stream(), beside, &format!("{below}/{name}"), found);
            }
            (TokenTree::Group(group), _) => find_modules(group.stream(), beside, below, found),
            _ => {}
        }
    }
}

/// The `#[path = ".."]` among the attributes that end these tokens.
fn path_attribute(before: &[TokenTree]) -> Option<String> {
    let item = before
        .iter()
        .rev()
        .take_while(|it| !is_punct(Some(it), ';'));
    item.filter_map(|it| match it {
        TokenTree::Group(group) => group
            .stream()
            .to_string()
            .strip_prefix("path = ")
            .map(str::to_owned),
        _ => None,
    })
    .map(|quoted| quoted.trim_matches('"').to_owned())
    .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    #[test]
    fn a_file_without_its_mod_is_found() {
        let sources = [
            Source::new(
                "a/src/lib.rs",
                "mod used; #[cfg(feature = \"x\")] #[path = \"odd/name.rs\"] mod renamed;",
            ),
            Source::new("a/src/used.rs", "pub mod inner; mod inline { mod deep; }"),
            Source::new("a/src/used/inner.rs", "make! { mod made; }"),
            Source::new("a/src/used/inner/made.rs", ""),
            Source::new("a/src/used/inline/deep.rs", ""),
            Source::new("a/src/odd/name.rs", ""),
            Source::new("a/src/dead.rs", "mod deader;"),
            Source::new("a/src/dead/deader.rs", ""),
            Source::new("a/build.rs", ""),
            Source::new("tests/crash/main.rs", ""),
            Source::new("tests/crash/forgotten.rs", ""),
        ];
        let complaints = check_sources(&sources);
        assert_eq!(
            places(&complaints),
            [
                "a/src/dead.rs:1",
                "a/src/dead/deader.rs:1",
                "tests/crash/forgotten.rs:1"
            ]
        );
    }

    #[test]
    fn a_suite_that_the_manifest_forgets_is_found() {
        let files = [
            "tests/tidy/main.rs",
            "tests/crash/main.rs",
            "tests/src/main.rs",
        ]
        .map(str::to_owned);
        let complaints = check_suites(&files, "[[test]]\nname = \"tidy\"\npath = \"tidy/main.rs\"");
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].to_string().contains("tests/crash/main.rs"));
    }
}
