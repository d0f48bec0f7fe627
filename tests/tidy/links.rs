//! Links lead somewhere: on the pages of the repository, and on the README once it is the front page of the
//! documentation, where the paths of the repository mean nothing. What cargo renders is checked by `cargo xtask doc`.

use crate::complaint::Complaint;
use crate::house::House;

const README: &str = "README.md";
const FRONT: &str = "chrono-forge/src/lib.rs";
const FACADE: &str = "chrono-forge/Cargo.toml";
/// Built from source it takes minutes, and adds nothing to be shown.
const NOT_SHOWN: [&str; 2] = ["default", "postgres-bundled"];

pub(crate) fn check(house: &House) -> Vec<Complaint> {
    let pages = house.files.iter().filter(|path| path.ends_with(".md"));
    let pages = pages.filter(|path| !house.is_link(path));
    let mut complaints: Vec<Complaint> = pages
        .flat_map(|path| check_page(path, &house.read(path).unwrap_or_default(), &house.files))
        .collect();
    let readme = house.read(README).unwrap_or_default();
    let front = house.read(FRONT).unwrap_or_default();
    complaints.extend(check_front(&readme, &front));
    for source in &house.sources {
        complaints.extend(check_examples(&source.path, &source.text));
    }
    complaints.extend(check_shown(&house.read(FACADE).unwrap_or_default()));
    complaints
}

/// One link of a page.
struct Link<'a> {
    line: usize,
    target: &'a str,
    /// Of a definition, `[label]: target`.
    label: Option<&'a str>,
}

/// Every link that is no address; what is in a code block is none.
fn links(page: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (at, text) in page.lines().enumerate() {
        if text.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        let line = at + 1;
        if let Some((label, target)) = definition(text) {
            let label = Some(label);
            found.push(Link {
                line,
                target,
                label,
            });
        }
        let inline = text.split("](").skip(1);
        found.extend(inline.filter_map(|rest| {
            let (target, _) = rest.split_once(')')?;
            Some(Link {
                line,
                target,
                label: None,
            })
        }));
    }
    found.retain(|link| !link.target.contains("://"));
    found
}

fn definition(line: &str) -> Option<(&str, &str)> {
    let (label, target) = line.strip_prefix('[')?.split_once("]: ")?;
    Some((label, target.trim()))
}

fn check_page(path: &str, page: &str, files: &[String]) -> Vec<Complaint> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_wrong = |link: &&Link<'_>| match link.target.strip_prefix('#') {
        Some(anchor) => !anchors(page).any(|it| it == anchor),
        None => !leads_to_a_file(folder, link.target, files),
    };
    let links = links(page);
    let wrong = links.iter().filter(is_wrong);
    let complaint = |link: &Link<'_>| {
        let problem = format!("nothing is at `{}`", link.target);
        Complaint::new(path, link.line, problem, "name what is there now")
    };
    wrong.map(complaint).collect()
}

fn leads_to_a_file(folder: &str, target: &str, files: &[String]) -> bool {
    let target = target.split('#').next().unwrap_or_default();
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let inside = format!("{path}/");
    files
        .iter()
        .any(|it| *it == path || it.starts_with(&inside))
}

/// As web pages of repositories name the places of headings.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter_map(|it| match it {
            ' ' => Some('-'),
            it if it.is_alphanumeric() || it == '-' || it == '_' => Some(it),
            _ => None,
        });
        kept.collect()
    })
}

/// Of two definitions of a name the first one counts, so the front page's come before the README.
fn check_front(readme: &str, front: &str) -> Vec<Complaint> {
    let (before, _) = front.split_once("include_str!").unwrap_or((front, ""));
    let here: Vec<&str> = before
        .lines()
        .filter_map(|line| definition(line.strip_prefix("//! ")?))
        .map(|(label, _)| label)
        .collect();
    let links = links(readme);
    let files = links.iter().filter(|link| !link.target.starts_with('#'));
    let complaint = |link: &Link<'_>| match link.label {
        Some(label) if here.contains(&label) => None,
        Some(label) => Some(Complaint::new(
            README,
            link.line,
            format!("`[{label}]` leads nowhere on the front page of the documentation"),
            format!("define it in {FRONT}, before the README is included"),
        )),
        None => Some(Complaint::new(
            README,
            link.line,
            format!(
                "`{}` leads nowhere on the front page of the documentation",
                link.target
            ),
            format!("write `[text][name]`, and define the name here and in {FRONT}"),
        )),
    };
    files.filter_map(complaint).collect()
}

/// Readers have the crate `chrono-forge`, and no other.
fn check_examples(path: &str, text: &str) -> Vec<Complaint> {
    let is_shown = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("/// ").or(line.strip_prefix("//! "));
        line.is_some_and(|it| it.starts_with("use chrono_forge_runtime"))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| is_shown(line));
    let complaint = |(at, _)| {
        let problem = "an example shows a crate that its reader does not have";
        let remedy = "show `use chrono_forge::..`, and hide where it comes from";
        Complaint::new(path, at + 1, problem, remedy)
    };
    lines.map(complaint).collect()
}

/// What the documentation's host is told to build.
fn check_shown(manifest: &str) -> Vec<Complaint> {
    let table = |name: &str| {
        let (_, rest) = manifest.split_once(name).unwrap_or_default();
        rest.split("\n[").next().unwrap_or_default()
    };
    let shown = table("\n[package.metadata.docs.rs]\n");
    let features = table("\n[features]\n");
    let names = features.lines().filter(|line| !line.starts_with('#'));
    let names = names.filter_map(|line| line.split_once(" =").map(|(name, _)| name));
    let missing = names
        .filter(|name| !NOT_SHOWN.contains(name) && !shown.contains(&format!("\"{name}\"")))
        .map(|name| {
            let problem = format!("items behind the feature `{name}` are missing on docs.rs");
            let remedy = "add it to [package.metadata.docs.rs]";
            Complaint::new(FACADE, 1, problem, remedy)
        });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    #[test]
    fn a_link_to_what_is_gone_is_found() {
        let files = ["a/page.md", "a/b/c.rs", "top.md"].map(str::to_owned);
        let page = "# A heading, here\n[x](b/c.rs) [y](b) [z](../top.md#x)\n[gone](c.rs)\n[here](#a-heading-here)\n\
                    [there](#nowhere)\n[a]: b/c.rs\n[b]: gone.rs\n```\n[x](in/code.rs)\n```\n[net](https://x.y/z)";
        let found = places(&check_page("a/page.md", page, &files));
        assert_eq!(found, ["a/page.md:3", "a/page.md:5", "a/page.md:7"]);
    }

    #[test]
    fn a_link_of_the_readme_that_the_documentation_does_not_know_is_found() {
        let readme = "[x](b.rs)\n[y], [z]\n\n[y]: c.md\n[z]: d.md\n[top](#top)";
        let front = "//! [y]: crate::c\n#![doc = include_str!(\"README.md\")]\n//! [z]: crate::d";
        let found = places(&check_front(readme, front));
        assert_eq!(found, ["README.md:1", "README.md:5"]);
    }

    #[test]
    fn an_example_with_a_crate_that_its_reader_does_not_have_is_found() {
        let text = "/// # use chrono_forge_runtime::a;\n    /// use chrono_forge_runtime::b;\nuse chrono_forge_runtime::c;";
        assert_eq!(places(&check_examples("x.rs", text)), ["x.rs:2"]);
    }

    #[test]
    fn a_feature_that_nobody_is_shown_is_found() {
        let manifest = "[package]\n[package.metadata.docs.rs]\nfeatures = [\"a\"]\n\n[features]\ndefault = [\"a\"]\n# Why.\n\
                        a = []\nb = [\"a\"]\n[lints]\nc = 1";
        assert_eq!(check_shown(manifest).len(), 1);
    }
}
