//! Moving runs to another database: what an export reads and what an import writes.
//!
//! Both are for times when nobody executes: an export that meets workers tells what it saw, once; an import
//! keeps workers out until it is finished.

use std::path::Path;

use jiff::Timestamp;

use super::StoreResult;
use crate::record::{ErrorCopy, RecordCopy, RunCopy, RunId, RunParts};

/// What a transfer reads of a database.
pub trait Exports {
    /// The database as it is now, for as long as the answer is kept. It holds nobody up, but what is written
    /// meanwhile is kept beside it.
    fn snapshot(&self) -> StoreResult<Box<dyn Snapshot>>;

    /// The runs with these names, each at the place of its name.
    fn find(&self, names: &[CopyName<'_>]) -> StoreResult<Vec<Option<RunId>>>;

    /// Those of these runs that exist, in any order.
    fn copies(&self, runs: &[RunId]) -> StoreResult<Vec<(RunId, RunCopy)>>;

    /// What copies the database to a file; `None` where it is none.
    fn copier(&self) -> StoreResult<Option<Box<dyn Copier>>> {
        Ok(None)
    }

    /// What is known of the import of the file with this id.
    fn import_note(&self, id: &str) -> StoreResult<ImportNote>;

    /// Since when an import is unfinished, if one is.
    fn unfinished_import(&self) -> StoreResult<Option<Timestamp>>;
}

/// What a run of an export is called in this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyName<'a> {
    pub workflow: &'a str,
    pub key: &'a str,
    /// Its parent in this database, and the name of the branch (`branch$n`) there. `None` for a
    /// top-level run.
    pub parent: Option<(RunId, &'a str)>,
}

/// Copies a database, as it is when the copy begins, to a file.
pub trait Copier: Send {
    /// Whether this path is the database's own, or that of a file that belongs to it.
    fn is_own(&self, path: &Path) -> bool;

    /// The size of the database now, without what is free in it: the most that a copy has.
    fn pages(&mut self) -> StoreResult<Pages>;

    /// Writes the copy into this file, which is empty and belongs to nobody else. In it no worker
    /// lives, and what workers held is due. Nothing is synced.
    fn copy(&mut self, into: &Path, now: Timestamp) -> StoreResult<()>;
}

/// The size of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    pub pages: u64,
    pub page_bytes: u64,
}

/// One state of a database, read in pages. Each page ends early once it is about 1 MiB.
pub trait Snapshot: Send {
    /// Runs after this one, at most `limit`, in the order in which they were created: a parent stands before
    /// its children.
    fn runs(&mut self, after: RunId, limit: u32) -> StoreResult<Vec<(RunId, RunCopy)>>;

    /// Records of the runs up to `through`, at most `limit` after this one, by run and name.
    fn records(
        &mut self,
        after: (RunId, &str),
        through: RunId,
        limit: u32,
    ) -> StoreResult<Vec<(RunId, RecordCopy)>>;

    /// Errors of the runs up to `through`, at most `limit` after this one, by run and in the order in which
    /// they were written. Each comes with its number.
    fn errors(
        &mut self,
        after: (RunId, i64),
        through: RunId,
        limit: u32,
    ) -> StoreResult<Vec<(RunId, (i64, ErrorCopy))>>;
}

/// What a transfer writes. Each method is one transaction.
pub trait Imports {
    /// Notes that the file with this id is being imported, unless it was or another one is. From then on
    /// until it is finished no worker may begin.
    fn begin_import(&mut self, id: &str, now: Timestamp) -> StoreResult<ImportNote>;

    /// Inserts these runs with their records and errors; what exists is left as it is, so a second
    /// call changes nothing. A run's parent stands before it or in the database. Branches keep
    /// their counters, blocked runs enter `chrono_forge_blocked`. Children name their parents by
    /// their numbers in the file; where a parent is not in the batch, `parent` says which run it is
    /// here.
    fn import_runs(&mut self, runs: &[RunParts], now: Timestamp) -> StoreResult<ImportedRuns>;

    /// Notes that everything of this file is in the database.
    fn finish_import(&mut self, id: &str, now: Timestamp) -> StoreResult<()>;

    /// Forgets an import that has written no run.
    fn abandon_import(&mut self, id: &str) -> StoreResult<()>;
}

/// What is known of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportNote {
    /// Nothing yet.
    New,
    /// It was begun and cut off.
    Begun,
    /// Everything of it is in the database.
    Finished,
    /// Another file's import is unfinished, since then.
    Other(Timestamp),
}

/// What [`Imports::import_runs`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportedRuns {
    /// Rows inserted, and which run each of the batch is in this database.
    Written {
        ids: Vec<RunId>,
        runs: u64,
        records: u64,
        errors: u64,
    },
    /// The run at this place has the name of one that was created at another time; nothing was written.
    Conflict { place: usize },
    /// The branch that spawned the run at this place is nowhere; nothing was written.
    ParentMissing { place: usize },
}
