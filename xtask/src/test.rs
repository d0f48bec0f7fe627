//! The test suites, one step a database.

use crate::step::Step;

pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::cargo("tests, SQLite", &["test", "--workspace", "--no-fail-fast"]),
        // The PostgreSQL suite joins here: the same suites against a server.
    ]
}
