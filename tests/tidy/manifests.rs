//! Every dependency is a decision, so its reason stands above it; and the macros know no database.

use crate::complaint::Complaint;
use crate::house::House;

const MACROS: &str = "chrono-forge-macros/Cargo.toml";
/// Directly or through the runtime, each of these is a database or needs one.
const FORBIDDEN: &[&str] = &[
    "chrono-forge-runtime",
    "diesel",
    "diesel_migrations",
    "libsqlite3-sys",
    "rusqlite",
    "sqlx",
    "tokio",
];

pub(crate) fn check(house: &House) -> Vec<Complaint> {
    let root = house.read("Cargo.toml").unwrap_or_default();
    let macros = house.read(MACROS).unwrap_or_default();
    let mut complaints = check_reasons("Cargo.toml", &root);
    complaints.extend(check_macros(MACROS, &macros));
    complaints
}

fn check_reasons(path: &str, text: &str) -> Vec<Complaint> {
    entries(text)
        .filter(|entry| entry.section == "workspace.dependencies" && !entry.after_comment)
        // Our own crates are the house; they need no excuse.
        .filter(|entry| !entry.value.contains("path ="))
        .map(|entry| {
            let problem = format!("`{}` has no reason", entry.name);
            Complaint::new(
                path,
                entry.line,
                problem,
                "say in a comment line above it what it is for",
            )
        })
        .collect()
}

/// Dev-dependencies are not looked at: the expansions may be tried out on the runtime.
fn check_macros(path: &str, text: &str) -> Vec<Complaint> {
    entries(text)
        .filter(|entry| {
            let section = entry.section;
            section.ends_with("dependencies") && !section.ends_with("dev-dependencies")
        })
        .filter(|entry| FORBIDDEN.contains(&entry.name))
        .map(|entry| {
            let problem = format!("the macros depend on `{}`", entry.name);
            Complaint::new(
                path,
                entry.line,
                problem,
                "generate a call into the runtime's `__private` instead",
            )
        })
        .collect()
}

/// One `name = value` line of a manifest.
struct Entry<'a> {
    section: &'a str,
    name: &'a str,
    value: &'a str,
    line: usize,
    after_comment: bool,
}

/// Reads as much TOML as our manifests use: one entry a line, or a table `[dependencies.name]`.
fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut section = "";
    let mut previous = "";
    text.lines().enumerate().filter_map(move |(at, raw)| {
        let after_comment = previous.starts_with('#');
        let text = raw.trim();
        previous = text;
        let entry = |section, name, value| {
            Some(Entry {
                section,
                name,
                value,
                line: at + 1,
                after_comment,
            })
        };
        if let Some(header) = text.strip_prefix('[') {
            section = header.trim_end_matches(']');
            let (table, name) = section.rsplit_once('.')?;
            return table
                .ends_with("dependencies")
                .then(|| entry(table, name, ""))
                .flatten();
        }
        let (name, value) = text.split_once('=').filter(|_| !text.starts_with('#'))?;
        // `name.workspace = true` names the same dependency.
        let name = name.trim().split('.').next()?;
        entry(section, name, value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let text = "[workspace]\nresolver = \"3\"\n[workspace.dependencies]\nours = { path = \"ours\" }\n\
                    # Ids.\nuuid = \"1\"\nserde = \"1\"\n\ntokio = \"1\"\n[profile.dev]\ndebug = 1";
        assert_eq!(
            places(&check_reasons("Cargo.toml", text)),
            ["Cargo.toml:7", "Cargo.toml:9"]
        );
    }

    #[test]
    fn a_database_under_the_macros_is_found_in_every_spelling() {
        let text = "[dependencies]\nsyn = \"3\"\ndiesel = \"2\"\ntokio.workspace = true\n[build-dependencies.rusqlite]\n\
                    version = \"1\"\n[dev-dependencies]\ntokio = \"1\"\nchrono-forge-runtime = \"1\"";
        assert_eq!(places(&check_macros("M", text)), ["M:3", "M:4", "M:5"]);
    }
}
