//! What a migration may do, so that neither those who work beside it nor an older binary stops: it
//! adds, reads no table that is in use, and locks one at most. See `migrations/README.md`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::ADDITIVE;

/// Those up to this one were written for a database that nobody had.
const BEFORE: &str = "20261201000010";

/// Whose language a migration is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

/// What would read the whole table, or refuse what older binaries write.
const CONSTRAINTS: [&str; 6] = [
    " UNIQUE",
    " PRIMARY KEY",
    " REFERENCES ",
    " CHECK",
    " GENERATED ",
    " COLLATE NOCASE",
];

/// The first rule that this migration breaks.
fn broken(dialect: Dialect, sql: &str, in_transaction: bool) -> Option<String> {
    let statements = statements(sql);
    let (mut created, mut altered) = (BTreeSet::new(), BTreeSet::new());
    for statement in &statements {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let is_alone = statements.len() == 1;
        match &words[..] {
            ["CREATE", "TABLE", table, ..] => {
                created.insert(*table);
            }
            ["CREATE", "VIEW", ..] | ["COMMENT", "ON", ..] | ["DROP", "VIEW", ..] => {}
            ["CREATE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS", ..] => {
                if in_transaction || !is_alone {
                    return Some("an index is built concurrently by a migration of its own, with `run_in_transaction = false`".to_owned());
                }
            }
            ["CREATE", "INDEX", _, "ON", table, ..] => {
                let is_used = !created.contains(table);
                if is_used && dialect == Dialect::Postgres {
                    return Some("CREATE INDEX CONCURRENTLY IF NOT EXISTS: on a table that is in use, writers would wait for as long as it takes".to_owned());
                }
                if is_used && !is_alone {
                    return Some("an index is a migration of its own".to_owned());
                }
            }
            ["ALTER", "TABLE", table, "ADD", "COLUMN", column @ ..] => {
                altered.insert(*table);
                if let Some(problem) = column_problem(&column.join(" ")) {
                    return Some(problem);
                }
            }
            _ => return Some(format!("only what adds: not `{statement}`")),
        }
        if !in_transaction && !statement.contains(" CONCURRENTLY ") {
            return Some("only an index is built outside of a transaction".to_owned());
        }
    }
    (altered.len() > 1).then(|| "one step a migration: it alters several tables".to_owned())
}

fn column_problem(column: &str) -> Option<String> {
    let default = column.split_once(" DEFAULT ").map(|(_, default)| default);
    if column.contains(" NOT NULL") && default.is_none() {
        return Some(
            "a column that older binaries do not know needs a default, or may be null".to_owned(),
        );
    }
    let is_literal = |default: &str| {
        let begins = default.chars().next();
        begins.is_some_and(|it| it.is_ascii_digit() || matches!(it, '\'' | '-'))
            || ["TRUE", "FALSE", "NULL"]
                .iter()
                .any(|word| default.starts_with(word))
    };
    if default.is_some_and(|default| !is_literal(default)) {
        return Some(
            "a default is a literal: of anything else the table is written anew".to_owned(),
        );
    }
    let constraint = CONSTRAINTS.iter().find(|it| column.contains(**it))?;
    Some(format!(
        "no column with{constraint}: the whole table would be read while it is locked"
    ))
}

/// In capitals, and without comments.
fn statements(sql: &str) -> Vec<String> {
    let without_comment = |line: &str| match line.trim_start().starts_with("--") {
        true => String::new(),
        false => line.to_uppercase(),
    };
    let sql: Vec<String> = sql.lines().map(without_comment).collect();
    let mut statements = vec![String::new()];
    let mut is_quoted = false;
    for sign in sql.join(" ").chars() {
        is_quoted ^= sign == '\'';
        match statements.last_mut() {
            Some(statement) if sign != ';' || is_quoted => statement.push(sign),
            _ => statements.push(String::new()),
        }
    }
    let trimmed = statements
        .iter()
        .map(|statement| statement.trim().to_owned());
    trimmed.filter(|statement| !statement.is_empty()).collect()
}

fn folders(of: &str) -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(of);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(all)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    folders.sort();
    folders
}

fn names(folders: &[PathBuf]) -> Vec<String> {
    let name = |folder: &PathBuf| folder.file_name().unwrap().to_str().unwrap().to_owned();
    folders.iter().map(name).collect()
}

#[test]
fn a_migration_keeps_the_rules_for_those_who_work_beside_it() {
    for (dialect, of) in [(Dialect::Sqlite, "sqlite"), (Dialect::Postgres, "postgres")] {
        let folders = folders(of);
        for (folder, name) in folders.iter().zip(names(&folders)) {
            let version = name.split('_').next().unwrap().replace('-', "");
            if &*version <= BEFORE {
                continue;
            }
            let metadata =
                std::fs::read_to_string(folder.join("metadata.toml")).unwrap_or_default();
            let in_transaction = !metadata.contains("run_in_transaction = false");
            let up = std::fs::read_to_string(folder.join("up.sql")).unwrap();
            assert_eq!(broken(dialect, &up, in_transaction), None, "{of}/{name}");
            let is_entered = ADDITIVE.iter().any(|(additive, _)| *additive == version);
            assert!(
                is_entered,
                "{name}: what only adds is entered in `ADDITIVE`"
            );
        }
    }
    assert_eq!(names(&folders("sqlite")), names(&folders("postgres")));
}

#[test]
fn a_migration_that_stops_others_is_refused_by_name() {
    let postgres = |sql: &str| broken(Dialect::Postgres, sql, true);
    for (sql, why) in [
        ("ALTER TABLE t DROP COLUMN a", "only what adds"),
        ("ALTER TABLE t ALTER COLUMN a TYPE bigint", "only what adds"),
        ("ALTER TABLE t RENAME TO u", "only what adds"),
        ("UPDATE t SET a = 1", "only what adds"),
        ("DROP INDEX i", "only what adds"),
        (
            "ALTER TABLE t ADD COLUMN a text NOT NULL",
            "needs a default",
        ),
        (
            "ALTER TABLE t ADD COLUMN a timestamptz NOT NULL DEFAULT now()",
            "a literal",
        ),
        (
            "ALTER TABLE t ADD COLUMN a bigint DEFAULT 0 CHECK (a >= 0)",
            "CHECK",
        ),
        ("ALTER TABLE t ADD COLUMN a bigint UNIQUE", "UNIQUE"),
        ("CREATE INDEX i ON t (a)", "CONCURRENTLY"),
        (
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
            "run_in_transaction",
        ),
        (
            "ALTER TABLE t ADD COLUMN a text; ALTER TABLE u ADD COLUMN b text",
            "one step",
        ),
    ] {
        let told = postgres(sql).unwrap_or_default();
        assert!(told.contains(why), "{sql}: {told}");
    }
    let two = "CREATE INDEX i ON t (a); CREATE INDEX j ON t (b)";
    assert!(broken(Dialect::Sqlite, two, true).is_some());
    let mixed = "CREATE TABLE t (a bigint)";
    assert!(broken(Dialect::Postgres, mixed, false).is_some());
}

#[test]
fn a_migration_that_only_adds_is_accepted() {
    let postgres = |sql: &str| broken(Dialect::Postgres, sql, true);
    for sql in [
        "-- Why; with a reason.\nALTER TABLE t ADD COLUMN a text;\nALTER TABLE t ADD COLUMN b bigint NOT NULL DEFAULT 0;",
        "CREATE TABLE t (a bigint PRIMARY KEY CHECK (a > 0)); CREATE INDEX i ON t (a);",
        "CREATE VIEW v AS SELECT 1; COMMENT ON VIEW v IS 'one'",
        "ALTER TABLE t ADD COLUMN a boolean NOT NULL DEFAULT false",
    ] {
        assert_eq!(postgres(sql), None, "{sql}");
    }
    let index = "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)";
    assert_eq!(broken(Dialect::Postgres, index, false), None);
    assert_eq!(
        broken(Dialect::Sqlite, "CREATE INDEX i ON t (a)", true),
        None
    );
}
