//! ARCHITECTURE.md is a map: a path that it names exists.

use crate::complaint::Complaint;

const PAGE: &str = "ARCHITECTURE.md";
const ENDINGS: &[&str] = &[".rs", ".toml", ".md", ".sql", ".yml", ".sh"];

pub(crate) fn check(page: &str, files: &[String]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (at, line) in page.lines().enumerate() {
        // What stands between two backticks is every second piece.
        for quoted in line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|it| looks_like_a_path(it))
        {
            for path in alternatives(quoted)
                .iter()
                .filter(|path| !exists(path, files))
            {
                let problem = format!("`{path}` does not exist");
                complaints.push(Complaint::new(
                    PAGE,
                    at + 1,
                    problem,
                    "name what is there now",
                ));
            }
        }
    }
    complaints
}

/// A folder ends in its slash (`store/`), a file in its ending; `and/or` is neither.
fn looks_like_a_path(text: &str) -> bool {
    let spelling = |it: char| it.is_alphanumeric() || "_-./{},".contains(it);
    let is_file = ENDINGS
        .iter()
        .any(|ending| text.ends_with(ending) && text.len() > ending.len());
    text.chars().all(spelling)
        && (text.len() > 1 && text.ends_with('/') || is_file || text.starts_with(".ci/"))
}

/// `context/{step,wait}.rs` names two paths.
fn alternatives(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('{') else {
        return vec![text.to_owned()];
    };
    let Some((choices, after)) = rest.split_once('}') else {
        return vec![text.to_owned()];
    };
    choices
        .split(',')
        .flat_map(|it| alternatives(&format!("{before}{}{after}", it.trim())))
        .collect()
}

/// A path may begin at any folder: `store/` is clear enough within the runtime.
fn exists(path: &str, files: &[String]) -> bool {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    files.iter().any(|file| {
        file.match_indices(path).any(|(at, _)| {
            let starts = at == 0 || file[..at].ends_with('/');
            let rest = &file[at + path.len()..];
            starts && (rest.is_empty() || rest.starts_with('/'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    fn found(page: &str) -> Vec<String> {
        let files = [
            "a/src/store.rs",
            "a/src/store/rows.rs",
            "a/src/context/step.rs",
            ".ci/run",
        ]
        .map(str::to_owned);
        places(&check(page, &files))
    }

    #[test]
    fn a_path_that_is_gone_is_found() {
        assert_eq!(
            found("# Map\n`store/rows.rs` and\n`store/columns.rs`, `attic/`"),
            ["ARCHITECTURE.md:3", "ARCHITECTURE.md:3"]
        );
        assert_eq!(found("`context/{step,wait}.rs`"), ["ARCHITECTURE.md:1"]);
        // Half a name is not a path.
        assert_eq!(found("`tore.rs`"), ["ARCHITECTURE.md:1"]);
    }

    #[test]
    fn paths_that_exist_and_things_that_are_no_paths_pass() {
        assert!(found("`a/src/store/`, `store.rs`, `./.ci/run`, `and/or`, `step!`, `cargo xtask ci`, `<name>/x.rs`, `a::b`").is_empty());
    }
}
