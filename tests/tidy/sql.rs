//! SQL and diesel live in the store: a query elsewhere escapes the fence, the conformance suite, and the
//! second database. One room names diesel without SQL: the keyset speaks the user's query language to the
//! user's database, where the engine's tables are not.

use crate::complaint::Complaint;
use crate::house::Source;
use crate::tokens::{Token, flatten};

const REMEDY: &str =
    "give the store a method for the intent, and move it to chrono-forge-runtime/src/store/";

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    sources
        .iter()
        .filter(|it| !may_hold_sql(it))
        .flat_map(check_source)
        .collect()
}

/// The bench's floor is bare SQL by definition; programs beside other crates have tables of those; tests look at rows behind the store's back.
fn may_hold_sql(source: &Source) -> bool {
    let path = &source.path;
    let rooms = [
        "chrono-forge-runtime/src/store/",
        "migrations/",
        "bench/src/floor/",
        "bench/src/floor.rs",
        "beside/",
    ];
    source.is_test() || rooms.iter().any(|room| path.starts_with(room))
}

fn check_source(source: &Source) -> Vec<Complaint> {
    flatten(source.shipped())
        .iter()
        .filter_map(|token| check_token(source, token))
        .collect()
}

/// The user's tables are read through diesel's traits, whose names are theirs.
fn may_name_diesel(source: &Source) -> bool {
    let path = source.path.trim_end_matches(".rs");
    let room = "chrono-forge-runtime/src/context/source/keyset";
    path.strip_prefix(room)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_token(source: &Source, token: &Token) -> Option<Complaint> {
    let problem = if let Some(ident) = token.ident() {
        let is_diesel = ident.to_string().starts_with("diesel") && !may_name_diesel(source);
        is_diesel.then(|| format!("`{ident}` outside the store"))
    } else {
        let text = token.literal()?.to_string();
        let verb = statement(&text)?;
        Some(format!("SQL ({verb}) outside the store"))
    }?;
    Some(Complaint::new(&source.path, token.line, problem, REMEDY))
}

/// The verb of the SQL in a literal. In capitals it counts anywhere, in lower case only as a whole
/// statement from the start, since prose selects and updates, too.
fn statement(literal: &str) -> Option<&'static str> {
    if !literal.contains('"') {
        return None;
    }
    let words: Vec<&str> = literal
        .split(|it: char| !it.is_alphanumeric() && it != '_')
        .filter(|it| !it.is_empty())
        .collect();
    (0..words.len())
        .find_map(|at| verb(&words[at..]))
        .or_else(|| {
            let words: Vec<String> = words.iter().map(|it| it.to_uppercase()).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            // Raw strings begin with their `r`.
            let start = usize::from(words.first().is_some_and(|it| *it == "R"));
            let words = &words[start..];
            verb(words).filter(|verb| *verb != "SELECT" || words.contains(&"FROM"))
        })
}

fn verb(words: &[&str]) -> Option<&'static str> {
    match words {
        ["SELECT", _, ..] => Some("SELECT"),
        ["INSERT", "INTO", ..] => Some("INSERT INTO"),
        ["DELETE", "FROM", ..] => Some("DELETE FROM"),
        ["UPDATE", _, rest @ ..] if rest.contains(&"SET") => Some("UPDATE"),
        ["PRAGMA", _, ..] => Some("PRAGMA"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    fn found(path: &str, text: &str) -> usize {
        places(&check(&[Source::new(path, text)])).len()
    }

    #[test]
    fn sql_is_found_in_every_dress() {
        for literal in [
            r#""SELECT 1""#,
            r#""WITH due AS (SELECT id FROM runs) ""#,
            r#""insert into runs values (1)""#,
            r##"r#"UPDATE runs AS r SET state = 1"#"##,
            r#""delete from runs""#,
            r#""PRAGMA journal_mode = WAL""#,
            r#""select id\n from runs""#,
        ] {
            let text = format!("fn f() {{ query!({literal}) }}");
            assert_eq!(
                found("chrono-forge-runtime/src/engine/x.rs", &text),
                1,
                "{literal}"
            );
        }
    }

    #[test]
    fn diesel_is_found_as_import_path_and_attribute() {
        let path = "chrono-forge-runtime/src/record.rs";
        assert_eq!(found(path, "use diesel::prelude::*;"), 1);
        assert_eq!(found(path, "#[derive(diesel::Queryable)] struct Row;"), 1);
        assert_eq!(found(path, "fn f() { diesel_migrations::run() }"), 1);
    }

    #[test]
    fn the_keyset_may_name_diesel_and_holds_no_sql() {
        for file in ["keyset.rs", "keyset/query.rs"] {
            let path = format!("chrono-forge-runtime/src/context/source/{file}");
            assert_eq!(found(&path, "use diesel::prelude::*;"), 0, "{file}");
            assert_eq!(found(&path, "fn f() { g(\"SELECT 1\") }"), 1, "{file}");
        }
        let path = "chrono-forge-runtime/src/context/source/keysets.rs";
        assert_eq!(found(path, "use diesel::prelude::*;"), 1);
    }

    #[test]
    fn prose_is_not_sql() {
        let text = "/// SELECT and diesel are fine here.\nfn f() { g(\"select another key\", \"updates the set\", 'S') }";
        assert_eq!(found("chrono-forge/src/lib.rs", text), 0);
    }

    #[test]
    fn the_store_the_floor_and_tests_may() {
        let text = "use diesel::sql_query; const Q: &str = \"SELECT 1\";";
        for path in [
            "chrono-forge-runtime/src/store/rows.rs",
            "bench/src/floor.rs",
            "tests/conformance/claim.rs",
        ] {
            assert_eq!(found(path, text), 0, "{path}");
        }
        assert_eq!(found("chrono-forge-runtime/src/store.rs", text), 2);
        assert_eq!(
            found(
                "bench/src/main.rs",
                &format!("#[cfg(test)] mod tests {{ {text} }}")
            ),
            0
        );
    }
}
