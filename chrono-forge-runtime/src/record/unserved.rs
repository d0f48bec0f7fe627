//! Due runs that no live worker can execute.

use std::fmt;

use jiff::Timestamp;

/// Due runs of one workflow in one queue that no live worker executes. As text it says what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unserved {
    /// The workflow's registered name.
    pub workflow: String,
    /// The queue that they wait in.
    pub queue: String,
    /// When the first of them became due.
    pub due_since: Timestamp,
    /// A live worker knows the workflow, but none of those serves the queue.
    pub is_known: bool,
    /// The application that the workflow belongs to, if any has served, started or spawned it.
    pub application: Option<String>,
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let application = self.application.as_deref();
        missing(f, (&self.workflow, application), &self.queue, self.is_known)
    }
}

/// What is missing, and what helps.
pub fn missing(
    f: &mut fmt::Formatter<'_>,
    (workflow, application): (&str, Option<&str>),
    queue: &str,
    is_known: bool,
) -> fmt::Result {
    if is_known {
        return write!(
            f,
            "no live worker that knows `{workflow}` serves queue `{queue}`: add .queue(\"{queue}\", slots) to one"
        );
    }
    let of = application.map_or_else(String::new, |name| format!(" of application `{name}`"));
    write!(
        f,
        "no live worker knows `{workflow}`{of}: start one whose binary has it (a crate that nobody names is not \
         linked: `use my_workflows as _;`)"
    )
}
