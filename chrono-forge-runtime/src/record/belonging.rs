//! Whose a workflow's name is in a database.

/// A workflow and the application that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Belonging {
    /// The workflow's registered name.
    pub workflow: String,
    /// The Cargo package of its function, or what the builder says.
    pub application: String,
}

impl From<(String, String)> for Belonging {
    fn from((workflow, application): (String, String)) -> Self {
        Self {
            workflow,
            application,
        }
    }
}
