//! Why runs could not be moved from one database to another.

use std::io;

use jiff::Timestamp;

use super::{Error, StoreError, StoreErrorKind};
use crate::archive::Totals;
use crate::record::WorkerId;

/// `forge.export` failed. What was written until then is not an export: it lacks its closing line.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Workers live on this database; what they do from now on would be missing in the file, and done
    /// again by whoever imports it.
    #[error(
        "{} on this database: shut every worker down first (one that was killed is alive until its lease is over), and open the Forge that exports with `.worker(false)`; `.while_running()` makes a copy that nobody may execute",
        alive(workers)
    )]
    WorkersAlive { workers: Vec<WorkerId> },

    /// The file could not be written.
    #[error("the export could not be written: {0}")]
    Write(#[from] io::Error),

    /// The database could not be read.
    #[error(transparent)]
    Forge(#[from] Error),
}

/// `forge.import` failed. Unless it says so, nothing was written.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The first line is none that `forge.export` writes.
    #[error("this is not an export of chrono-forge: its first line does not say so")]
    NotAnExport,

    /// The file was written by a newer release.
    #[error(
        "the export has version {version} and this binary reads versions up to {known}: upgrade the binary"
    )]
    Newer { version: u32, known: u32 },

    /// The file ends without its closing line.
    #[error(
        "the export ends at line {line} without its closing line, so it was cut off: copy it again, or export again"
    )]
    Torn { line: u64 },

    /// A line that `forge.export` does not write.
    #[error("line {line} of the export: {problem}; import the file as it was exported")]
    Line { line: u64, problem: String },

    /// Lines are missing, or there are too many.
    #[error(
        "the export tells of {} and holds {}: lines were lost or added; copy it again, or export again",
        counted(told),
        counted(found)
    )]
    Miscounted { told: Totals, found: Totals },

    /// The file could not be read.
    #[error("line {line} of the export could not be read: {error}")]
    Read { line: u64, error: io::Error },

    /// A name that this database cannot store; older releases took it where another one can.
    #[error(
        "line {line} of the export: {what} has a null character, which this database cannot store (run {key:?} of `{workflow}`): let the run end where it is before you export, or import into SQLite"
    )]
    Nul {
        line: u64,
        /// The run that the line belongs to.
        workflow: String,
        key: String,
        /// What cannot be stored: `the key`, `the name of a record`, ..
        what: &'static str,
    },

    /// A run of this name exists and is not the one of the file.
    #[error(
        "line {line} of the export: workflow `{workflow}` has another run with the key {key:?} in this database; import into an empty database (or schema)"
    )]
    Conflict {
        line: u64,
        workflow: String,
        key: String,
    },

    /// A child whose parent's branch is neither above it in the file nor in the database. What stands before
    /// it was imported.
    #[error(
        "line {line} of the export: the branch that spawned run {key:?} of `{workflow}` is not above it; import the file as it was exported into an empty database (or schema)"
    )]
    ParentMissing {
        line: u64,
        workflow: String,
        key: String,
    },

    /// Another file is half imported.
    #[error(
        "an import of another file, begun at {started_at}, is unfinished: import that file again, or use an empty database (or schema)"
    )]
    OtherUnfinished { started_at: Timestamp },

    /// Workers live on this database; they would see parents without their children.
    #[error(
        "{} on this database: shut every worker down first (one that was killed is alive until its lease is over), and open the Forge that imports with `.worker(false)`",
        alive(workers)
    )]
    WorkersAlive { workers: Vec<WorkerId> },

    /// The database failed. What was imported until then stays; import the same file again and it goes on
    /// there.
    #[error(transparent)]
    Forge(#[from] Error),
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        Self::Forge(of_store(error))
    }
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Forge(of_store(error))
    }
}

/// A store that was closed under a call means that the engine was.
fn of_store(error: StoreError) -> Error {
    match error.kind {
        StoreErrorKind::Closed => Error::Closed,
        _ => Error::Store(error),
    }
}

fn alive(workers: &[WorkerId]) -> String {
    match workers {
        [only] => format!("worker {only} is alive"),
        _ => {
            let ids: Vec<String> = workers.iter().map(ToString::to_string).collect();
            format!("workers {} are alive", ids.join(", "))
        }
    }
}

fn counted(totals: &Totals) -> String {
    let Totals {
        runs,
        records,
        errors,
    } = totals;
    format!("{runs} runs, {records} records and {errors} errors")
}
