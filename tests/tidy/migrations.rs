//! Twin migrations: both databases go through the same steps, each of which can be undone.

use std::collections::BTreeSet;

use crate::complaint::Complaint;

const TWINS: [&str; 2] = ["sqlite", "postgres"];

pub(crate) fn check(files: &[String]) -> Vec<Complaint> {
    let mut complaints: Vec<Complaint> = TWINS
        .iter()
        .flat_map(|database| check_halves(files, database))
        .collect();
    // The second database joins later; until then there is nothing to compare.
    if TWINS
        .iter()
        .all(|database| !folders(files, database).is_empty())
    {
        complaints.extend(check_twins(files, TWINS[0], TWINS[1]));
        complaints.extend(check_twins(files, TWINS[1], TWINS[0]));
    }
    complaints
}

fn check_halves(files: &[String], database: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for folder in folders(files, database) {
        for half in ["up.sql", "down.sql"] {
            let path = format!("migrations/{database}/{folder}/{half}");
            if !files.contains(&path) {
                complaints.push(Complaint::new(
                    path,
                    1,
                    "half of a migration is missing",
                    "write it, and try it with a redo",
                ));
            }
        }
    }
    complaints
}

fn check_twins(files: &[String], here: &str, there: &str) -> Vec<Complaint> {
    let twins = folders(files, there);
    folders(files, here)
        .difference(&twins)
        .map(|folder| {
            let problem = format!("the migration has no twin under migrations/{there}");
            let remedy = format!("add migrations/{there}/{folder}");
            Complaint::new(format!("migrations/{here}/{folder}"), 1, problem, remedy)
        })
        .collect()
}

fn folders<'a>(files: &'a [String], database: &str) -> BTreeSet<&'a str> {
    let prefix = format!("migrations/{database}/");
    let inside = files.iter().filter_map(|path| path.strip_prefix(&prefix));
    inside
        .filter_map(|path| path.split_once('/'))
        .map(|(folder, _)| folder)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::places;

    fn found(files: &[&str]) -> Vec<String> {
        let files: Vec<String> = files.iter().map(|it| format!("migrations/{it}")).collect();
        places(&check(&files))
    }

    #[test]
    fn one_database_alone_needs_no_twin() {
        assert!(
            found(&[
                "README.md",
                "sqlite/01_runs/up.sql",
                "sqlite/01_runs/down.sql"
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_missing_half_is_found() {
        assert_eq!(
            found(&["sqlite/01_runs/up.sql"]),
            ["migrations/sqlite/01_runs/down.sql:1"]
        );
    }

    #[test]
    fn a_missing_twin_is_found_on_either_side() {
        let halves = |folder: &str| [format!("{folder}/up.sql"), format!("{folder}/down.sql")];
        let files: Vec<String> = [
            "sqlite/01_runs",
            "sqlite/02_x",
            "postgres/01_runs",
            "postgres/02_y",
        ]
        .iter()
        .flat_map(|it| halves(it))
        .collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        assert_eq!(
            found(&files),
            ["migrations/sqlite/02_x:1", "migrations/postgres/02_y:1"]
        );
    }
}
