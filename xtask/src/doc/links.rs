//! Whether the links of the rendered documentation lead somewhere: rustdoc keeps what it takes for an address of its
//! own, such as a path of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::step::Outcome;

/// Begins at the front page, and follows every link to another page.
pub(crate) fn check(folder: &Path, front: &str) -> Result<Outcome> {
    let mut pages = BTreeMap::new();
    let mut open = vec![PathBuf::from(front)];
    let mut links = BTreeSet::new();
    while let Some(path) = open.pop() {
        if pages.contains_key(&path) {
            continue;
        }
        let text = fs::read_to_string(folder.join(&path))
            .with_context(|| format!("cannot read {}", path.display()))?;
        for target in targets(&text).filter(|target| is_relative(target)) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = resolved(&path, file);
            if is_page(&file) && folder.join(&file).is_file() {
                open.push(file.clone());
            }
            links.insert((path.clone(), file, anchor.to_owned()));
        }
        pages.insert(path, anchors(&text));
    }
    let dead: Vec<String> = links
        .iter()
        .filter(|(_, file, anchor)| !is_there(folder, &pages, file, anchor))
        .map(|(page, file, anchor)| format!("{}: {}#{anchor}", page.display(), file.display()))
        .collect();
    println!("{} pages, {} links", pages.len(), links.len());
    ensure!(
        dead.is_empty(),
        "links that lead nowhere:\n{}",
        dead.join("\n")
    );
    Ok(Outcome::Passed)
}

fn is_there(
    folder: &Path,
    pages: &BTreeMap<PathBuf, BTreeSet<String>>,
    file: &Path,
    anchor: &str,
) -> bool {
    match pages.get(file) {
        // Lines of sources are made by a script.
        Some(anchors) => anchor.is_empty() || file.starts_with("src") || anchors.contains(anchor),
        None => folder.join(file).is_file(),
    }
}

fn is_page(file: &Path) -> bool {
    file.extension().is_some_and(|it| it == "html")
}

fn is_relative(target: &str) -> bool {
    let is_other = ["http:", "https:", "mailto:", "data:", "javascript:"];
    !is_other.iter().any(|scheme| target.starts_with(scheme))
}

/// Blanket implementations come last on a page, with the documentation of their traits: links in
/// that of another crate's trait were meant for that crate's pages.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    let own = page.split(" id=\"blanket-implementations\"").next();
    attributes(own.unwrap_or(page), " href=\"")
}

fn anchors(page: &str) -> BTreeSet<String> {
    attributes(page, " id=\"").map(str::to_owned).collect()
}

/// Values as rustdoc writes them, in double quotes.
fn attributes<'a>(page: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    let after = page.split(name).skip(1);
    after.filter_map(|rest| rest.split_once('"').map(|(value, _)| value))
}

/// Where a link on this page leads, from the folder of all pages.
fn resolved(page: &Path, target: &str) -> PathBuf {
    if target.is_empty() {
        return page.to_owned();
    }
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-doc-{}", std::process::id()));
        fs::create_dir_all(folder.join("it"))?;
        let page = |links: &str| format!("<h1 id=\"top\">It</h1>{links}");
        let index = folder.join("it/index.html");
        let other = folder.join("it/other.html");
        fs::write(&other, page("<a href=\"index.html#top\">"))?;
        fs::write(
            &index,
            page(concat!(
                "<a href=\"other.html\"><a href=\"#top\"><a href=\"https://x.y\">",
                "<h2 id=\"blanket-implementations\"><a href=\"crate::Span\">"
            )),
        )?;
        assert!(check(&folder, "it/index.html").is_ok());
        for dead in ["../ARCHITECTURE.md", "a::B", "other.html#gone", "#gone"] {
            fs::write(&other, page(&format!("<a class=\"x\" href=\"{dead}\">")))?;
            let found = check(&folder, "it/index.html");
            assert!(found.is_err(), "{dead}");
        }
        fs::remove_dir_all(&folder)?;
        Ok(())
    }
}
