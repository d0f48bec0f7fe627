//! What a rule answers with: a place, what is wrong there, and what to do about it.

use std::fmt;

#[derive(Debug)]
pub(crate) struct Complaint {
    path: String,
    line: usize,
    problem: String,
    remedy: String,
}

impl Complaint {
    pub(crate) fn new(
        path: impl Into<String>,
        line: usize,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            line,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            problem,
            remedy,
        } = self;
        write!(f, "{path}:{line}: {problem}; {remedy}")
    }
}

/// For the rules' own tests: each complaint as `path:line`.
pub(crate) fn places(complaints: &[Complaint]) -> Vec<String> {
    complaints
        .iter()
        .map(|it| format!("{}:{}", it.path, it.line))
        .collect()
}
